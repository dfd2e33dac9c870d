"""FRePO: dataset distillation using neural feature regression."""

from __future__ import annotations

from ddcore.augmentation import NoAugmentation
from ddcore.engine.optimiser import Optimiser
from ddcore.factorization import Ipc, Pixels, largest_ipc
from ddcore.kernels import FeatureKernel
from ddcore.matching import KernelRegression
from ddcore.method import Method
from ddcore.methods.presets import COLOUR, check_preset
from ddcore.networks import ConvNet, NetworkPool

UNMIRRORED: dict[str, tuple[int, ...]] = {"cifar100": (10, 50), "tiny-imagenet": (10,)}
"""Data sets, and examples per class, whose images the source does not mirror; data of digits are never mirrored."""


def frepo(ipc: Ipc = 10, preset: str = "paper", data: str | None = None) -> Method:
    """Ridge regression on the features of a pool of networks of all ages that train on the synthetic set.

    Settings of the paper (arXiv:2206.00719 and its code): a pool of 10, each matched on up to 102 times and trained in between by Adam at 3e-4 on the
    squared error of up to 1000 examples; ridge 1e-6, label margin, learned labels, 1024 real examples, LAMB at 3e-4 along a cosine to a tenth, widths
    that double from block to block, weights of variance 1 / fan-in, no norm (its default; its commands use BatchNorm, before the convolutions). Images
    stand mirrored too, but for Fashion-MNIST, CIFAR-100 at 10 and 50 and Tiny ImageNet at 10 per class. Preset ``cpu``: Adam at .03, 400 steps, constant
    width, instance norm.
    """
    check_preset(preset)
    cpu = preset == "cpu"
    network = ConvNet(width=128) if cpu else ConvNet(width=128, norm="none", widening=2, init="lecun")
    unmirrored = data == "fashion-mnist" or largest_ipc(ipc) in UNMIRRORED.get(data or "", ())
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
            mirrored=not unmirrored,
        ),
        networks=NetworkPool(network, size=10, max_age=102, learning_rate=3e-4, batch_size=1000, loss="squared_error"),
        optimiser=Optimiser("adam", learning_rate=0.03, schedule="cosine")
        if cpu
        else Optimiser("lamb", learning_rate=3e-4, schedule="cosine", final=0.1),
        augmentation=NoAugmentation(),
        steps=400 if cpu else 500_000,
        normalisation=None if cpu or data not in COLOUR else "zca-standard",
        protocol="frepo",
    )
