"""KIP: kernel inducing points."""

from __future__ import annotations

from ddcore.errors import UnknownNameError
from ddcore.ground.optimiser import Optimiser
from ddcore.images import Pixels
from ddcore.kernels import AnalyticKernel
from ddcore.matching import KernelRegression
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, NoNetworks

KERNELS = {
    "fc": AnalyticKernel("ntk", "fc", depth=1),
    "conv-pool": AnalyticKernel("ntk", "conv", depth=4, pooling="average", unpooled=1),
}
"""The published kernels: that of the first paper, and ``ConvNet`` of the second."""


def kip(ipc: Ipc = 10, preset: str | None = None, kernel: str = "fc") -> Method:
    """Learn images on which ridge regression with a neural tangent kernel predicts the real labels.

    Settings of the paper (arXiv:2011.00050, its public notebook): the kernel of one fully connected
    hidden layer, weights of variance 2, biases of .01, ridge 1e-6 of the mean diagonal, 5000 real
    examples, Adam at .04, hard labels, float64. The number of steps, 1000, is where the notebook's
    text sees convergence. ``factorization.labels=soft`` learns labels too.

    ``kernel="conv-pool"`` is that of arXiv:2107.13034 (its notebook): a convolution, then three
    with 2 x 2 average pooling, no norm, readout after flattening. Evaluation must name it too. A
    step costs pixels squared for each pair of images.

    Preset ``cpu``: 300 steps of Adam at .01 on 1000 real examples, ridge .01.
    """
    preset = settled_preset(preset)
    if kernel not in KERNELS:
        raise UnknownNameError("kernel", kernel, KERNELS)
    cpu = preset == "cpu"
    return Method(
        name="kip",
        preset=preset,
        cites=("kip",),
        factorization=Pixels(ipc=ipc, init="random", label_init="centred"),
        matching=KernelRegression(
            KERNELS[kernel],
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
