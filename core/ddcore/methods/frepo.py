"""FRePO: dataset distillation using neural feature regression."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.kernels import FeatureKernel
from ddcore.matching import KernelRegression
from ddcore.methods.presets import WHITENED_DATA, entry_for, settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import NetworkPool

MIRRORED = {
    "fashion-mnist": {1: False},
    "cifar100": {1: True, 10: False},
    "tiny-imagenet": {1: True, 10: False},
}
"""Whether images stand mirrored too, where the source does not always do so. Digits never are."""


def frepo(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Ridge regression on the features of a pool of networks that train on the synthetic set.

    The networks of the pool are of all ages.

    Settings of the paper (arXiv:2206.00719 and its code): a pool of 10. Each network is matched on
    up to 102 times, and trained in between by Adam at 3e-4 on the squared error of up to 1000
    examples. Ridge 1e-6, label margin, learned labels, 1024 real examples, LAMB at 3e-4 along a
    cosine to a tenth. Widths double from block to block, weights have variance 1 / fan-in, and
    there is no norm. That is the code's default; its commands use BatchNorm, before the
    convolutions. Images stand mirrored too, but for Fashion-MNIST, and for CIFAR-100 and Tiny
    ImageNet from 10 per class on.

    Preset ``cpu``: Adam at .03, 400 steps, constant width, instance norm.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    network = ConvNet(width=128) if cpu else ConvNet(width=128, norm="none", widening=2, init="lecun")
    mirrored = entry_for(MIRRORED.get(data or "", {1: True}), largest_ipc(ipc))
    return Method(
        name="frepo",
        preset=preset,
        cites=("frepo", "kip"),
        factorization=Pixels(ipc=ipc, init="random", labels="soft", label_init="scaled"),
        matching=KernelRegression(
            FeatureKernel(),
            ridge=1e-6,
            real_batch=32,
            real_total=None if cpu else 1024,
            mean_over_classes=False,
            label_margin=True,
            mirrored=mirrored,
        ),
        networks=NetworkPool(network, size=10, max_age=102, learning_rate=3e-4, batch_size=1000, loss="squared_error"),
        optimiser=Optimiser("adam", learning_rate=0.03, schedule="cosine")
        if cpu
        else Optimiser("lamb", learning_rate=3e-4, schedule="cosine", final=0.1),
        augmentation=NoAugmentation(),
        steps=400 if cpu else 500_000,
        precision="fp32",
        normalisation=None if cpu or data not in WHITENED_DATA else "zca-standard",
        protocol="frepo-grey" if data in ("mnist", "fashion-mnist") else "frepo",
    )
