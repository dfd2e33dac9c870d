"""DD: dataset distillation through the unrolled training of a network."""

from __future__ import annotations

from dataclasses import replace

from ddcore.errors import UnknownNameError
from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.matching import StepSizes, UnrolledTraining
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import FreshNetworks, OneNetwork

EPOCHS = 3


STARTS = ("random", "fixed")


def dd(ipc: Ipc = 10, preset: str | None = None, data: str | None = None, start: str = "random") -> Method:
    """Learn images by which a network does well on real data after a few steps.

    Each step has a learned step size.

    Settings of the paper (arXiv:1811.10959, section 4 and its code): one image per class and step,
    three passes in fixed order, noise initialisation. Outer Adam at .01, betas .5 and .999, rates
    halved every tenth of the run. Inner step sizes start at .02 and go through a softplus
    (CIFAR-10: .001). 1024 real examples. 400 passes over the real data are 23 600 steps on MNIST,
    19 600 on CIFAR-10. Networks there are LeNet and AlexNet, here a ConvNet. A summary is trained
    on by these very steps.

    Preset ``cpu``: 30 inner steps at any ipc, first step sizes of .1, outer Adam at .05 (step sizes
    .005), real initialisation, 150 steps.

    Args:
        ipc: images per class.
        preset: ``paper`` or ``cpu``.
        data: name of the data.
        start: ``random``: of every network; ``fixed``: of one network, drawn once, whose weights
            the summary then holds.
    """
    preset = settled_preset(preset)
    if start not in STARTS:
        raise UnknownNameError("start", start, STARTS)
    cpu, cifar10 = preset == "cpu", data == "cifar10"
    adam = Optimiser(
        "adam", learning_rate=0.01, betas=(0.5, 0.999), drops=tuple(i / 10 for i in range(1, 10)), drop=0.5
    )
    if cpu:
        rates = {"step_sizes": 0.005}
        adam = replace(adam, learning_rate=0.05, group_learning_rates=rates, drops=(0.5, 0.75, 0.9))
    return Method(
        name="dd",
        preset=preset,
        cites=("dd",),
        factorization=Pixels(ipc=ipc, init="random" if cpu else "noise"),
        matching=UnrolledTraining(
            inner_steps=30 if cpu else EPOCHS * largest_ipc(ipc),
            synthetic_batch=1,
            order="fixed",
            step_sizes=StepSizes(initial=0.1 if cpu else 0.001 if cifar10 else 0.02, learned="per_step", positive=True),
            real_batch=32,
            real_total=None if cpu else 1024,
        ),
        networks=FreshNetworks(ConvNet()) if start == "random" else OneNetwork(ConvNet()),
        optimiser=adam,
        augmentation=NoAugmentation(),
        steps=150 if cpu else 19_600 if cifar10 else 23_600,
        protocol="dc",
    )
