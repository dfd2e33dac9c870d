"""DM: dataset condensation with distribution matching (Zhao & Bilen 2023)."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import DistributionMatching
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import FreshNetworks


def dm(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Match class means of the features of fresh random networks.

    Settings of the paper (arXiv:2110.04181, section 4.1): 20 000 steps, 256 real examples per
    class, image learning rate 1 (10 from 100 per class on, but for CIFAR-100), momentum .5, real
    initialisation, siamese augmentation. Preset ``cpu``: 500 steps.
    """
    preset = settled_preset(preset)
    rate = 10.0 if largest_ipc(ipc) >= 100 and data != "cifar100" else 1.0
    return Method(
        name="dm",
        preset=preset,
        cites=("dm", "dsa"),
        factorization=Pixels(ipc=ipc, init="random"),
        matching=DistributionMatching(real_batch=256),
        networks=FreshNetworks(ConvNet()),
        optimiser=Optimiser("sgd", learning_rate=rate, momentum=0.5),
        augmentation=SiameseAugmentation(),
        steps=500 if preset == "cpu" else 20_000,
        protocol="dsa",
    )
