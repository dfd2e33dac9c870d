"""RFAD: random feature approximation for dataset distillation."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.kernels import FeatureKernel
from ddcore.matching import KernelRegression
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation
from ddcore.sources import FreshNetworks


def rfad(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Ridge regression with the features of random networks, under a cross-entropy.

    The networks are drawn anew in every step.

    Settings of the paper (arXiv:2210.12067 and its code): 8 ConvNets of width 256 without norm,
    K = 2 Phi Phi^T / (8 d) + .01, ridge 5e-3 of the mean diagonal, Platt's scale at rate .01, a
    learned linear map of the pixels at 5e-5, AdaBelief at 1e-3, learned labels, 5120 real examples.
    Images of 28 px are not padded. CIFAR is whitened. The paper stops by a validation loss, up to
    100 000 steps; here the number of steps is a setting.

    Preset ``cpu``: Adam at .02, 4 networks of width 128 with instance norm, 300 steps.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    image, transform = (0.02, 1e-3) if cpu else (1e-3, 5e-5)
    network = ConvNet(width=128, init="he") if cpu else ConvNet(width=256, norm="none", init="he", pad_grey=False)
    return Method(
        name="rfad",
        preset=preset,
        cites=("rfad", "kip"),
        factorization=Pixels(ipc=ipc, init="random", labels="soft", label_init="centred", transform=True),
        matching=KernelRegression(
            FeatureKernel(scale=2.0, constant=0.01, per_feature=True),
            ridge=5e-3,
            real_batch=32,
            real_total=None if cpu else 5120,
            loss="platt",
        ),
        networks=FreshNetworks(network, count=4 if cpu else 8),
        optimiser=Optimiser(
            "adam" if cpu else "adabelief",
            learning_rate=image,
            group_learning_rates={"transform": transform, "platt": 0.01},
        ),
        augmentation=NoAugmentation(),
        steps=300 if cpu else 10_000,
        precision="fp32",
        normalisation=None if cpu or data not in ("cifar10", "cifar100") else "zca-uncentred",
    )
