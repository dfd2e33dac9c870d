"""LinBa without factorization: long unrolled training with momentum."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.matching import StepSizes, UnrolledTraining
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import FreshNetworks

WHITENED = {"cifar10": "zca-unit", "cifar100": "zca-unit", "svhn": "zca-unit(regularisation=100)"}


def linba_no_factorization(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """DD with inner momentum .9 over 150 steps, differentiated exactly by the sweep back.

    Settings of the paper (arXiv:2206.02916, section 4 and its code): all examples in every inner
    step up to 10 per class, else 10 of each; inner learning rate .01, 64 real examples per class.
    Outer SGD .1, momentum .5, gradient clipped to norm 2. Images start as Glorot & Bengio draw
    weights. Images of unit norm are whitened by ZCA for CIFAR and SVHN. The code runs for up to
    500 000 steps; 5000 here is ours.

    Preset ``cpu``: 100 inner steps of one example per class, Adam at .05, real initialisation, 60
    steps.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    adam = Optimiser("adam", learning_rate=0.05, betas=(0.5, 0.999), drops=(0.5, 0.75, 0.9), drop=0.5, clip=2.0)
    return Method(
        name="linba_no_factorization",
        preset=preset,
        cites=("linba",),
        factorization=Pixels(ipc=ipc, init="random" if cpu else "glorot"),
        matching=UnrolledTraining(
            inner_steps=100 if cpu else 150,
            synthetic_batch=None if largest_ipc(ipc) <= 10 and not cpu else (1 if cpu else 10),
            order="random",
            momentum=0.9,
            step_sizes=StepSizes(initial=0.01),
            real_batch=32 if cpu else 64,
        ),
        networks=FreshNetworks(ConvNet()),
        optimiser=adam if cpu else Optimiser("sgd", learning_rate=0.1, momentum=0.5, clip=2.0),
        augmentation=NoAugmentation(),
        steps=60 if cpu else 5000,
        normalisation=None if cpu else WHITENED.get(data or ""),
        protocol="linba",
    )
