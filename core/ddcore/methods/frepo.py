"""FRePO: dataset distillation using neural feature regression."""

from __future__ import annotations

from ddcore.augmentation import NoAugmentation
from ddcore.engine.optimiser import Optimiser
from ddcore.factorization import Ipc, Pixels
from ddcore.kernels import FeatureKernel
from ddcore.matching import KernelRegression
from ddcore.method import Method
from ddcore.methods.presets import check_preset
from ddcore.networks import ConvNet, NetworkPool


def frepo(ipc: Ipc = 10, preset: str = "paper") -> Method:
    """Ridge regression on the features of a pool of networks of all ages that train on the synthetic set.

    Settings of the paper (arXiv:2206.00719 and its code): a pool of 10, each trained for up to 100 steps of Adam at 3e-4 on the squared
    error; ridge 1e-6, label margin, mirrored images, learned labels, 1024 real examples, LAMB at 3e-4 along a cosine, widths that double from block
    to block, no norm (its default; it uses BatchNorm for some data). Preset ``cpu``: Adam at .03, 400 steps, constant width, instance
    norm.
    """
    check_preset(preset)
    cpu = preset == "cpu"
    network = ConvNet(width=128) if cpu else ConvNet(width=128, norm="none", widening=2)
    return Method(
        name="frepo",
        preset=preset,
        cites=("frepo", "kip"),
        factorization=Pixels(ipc=ipc, init="random", labels="soft", label_init="scaled"),
        matching=KernelRegression(
            FeatureKernel(),
            ridge=1e-6,
            real_batch=32 if cpu else 103,
            mean_over_classes=False,
            label_margin=True,
            mirrored=True,
        ),
        networks=NetworkPool(network, size=10, max_age=100, learning_rate=3e-4, loss="squared_error"),
        optimiser=Optimiser("adam", learning_rate=0.03, schedule="cosine")
        if cpu
        else Optimiser("lamb", learning_rate=3e-4, schedule="cosine"),
        augmentation=NoAugmentation(),
        steps=400 if cpu else 500_000,
    )
