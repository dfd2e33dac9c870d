"""KIP: kernel inducing points."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Pixels
from ddcore.kernels import AnalyticKernel
from ddcore.matching import KernelRegression
from ddcore.methods.presets import check_preset
from ddcore.parts import Ipc, Method, NoAugmentation, NoNetworks


def kip(ipc: Ipc = 10, preset: str = "paper") -> Method:
    """Learn images on which ridge regression with a neural tangent kernel predicts the real labels.

    Settings of the paper (arXiv:2011.00050, its public notebook): the kernel of one fully connected
    hidden layer, weights of variance 2, biases of .01, ridge 1e-6 of the mean diagonal, 5000 real
    examples, Adam at .04, hard labels, float64. The number of steps, 1000, is where the notebook's
    text sees convergence. ``factorization.labels=soft`` learns labels too.

    Preset ``cpu``: 300 steps of Adam at .01 on 1000 real examples, ridge .01.
    """
    check_preset(preset)
    cpu = preset == "cpu"
    return Method(
        name="kip",
        preset=preset,
        cites=("kip",),
        factorization=Pixels(ipc=ipc, init="random", label_init="centred"),
        matching=KernelRegression(
            AnalyticKernel("ntk", "fc", depth=1),
            ridge=0.01 if cpu else 1e-6,
            real_batch=100,
            real_total=None if cpu else 5000,
        ),
        networks=NoNetworks(),
        optimiser=Optimiser("adam", learning_rate=0.01 if cpu else 0.04),
        augmentation=NoAugmentation(),
        steps=300 if cpu else 1000,
        precision="fp64",
        protocol="krr",
    )
