"""LinBa: remember the past, distilling datasets into addressable memories."""

from __future__ import annotations

from dataclasses import replace

from ddcore.images import LinearBases
from ddcore.matching import UnrolledTraining
from ddcore.methods.images import as_many_numbers_as_images
from ddcore.methods.linba_no_factorization import linba_no_factorization
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method


def linba(ipc: Ipc | None = 1, preset: str | None = None, data: str | None = None) -> Method:
    """Linear bases and coefficients, through long unrolled training with momentum.

    Settings of the paper (arXiv:2206.02916 and its code): bases of half resolution, which take 40 %
    of the stored numbers. That share is the paper's choice at one image per class, and ours beyond.
    At one per class of CIFAR-10 there are 16 bases and 113 coefficient vectors per class. The paper
    does not count class ids and has 115. Bases and coefficients start as Glorot & Bengio draw
    weights. 32 examples per class in an inner step, 150 steps at .01 with momentum .9, 64 real
    examples per class. Outer SGD .1, momentum .5, gradient clipped to norm 2. The code runs for up
    to 500 000 steps; 5000 here is ours.

    Preset ``cpu``: bases start as principal directions of real images, of full resolution on
    digits. 100 inner steps of 3 examples per class, Adam at .05 (bases .02), 60 steps, bytes.
    """
    preset = settled_preset(preset)
    base, cpu = linba_no_factorization(ipc=1, preset=preset), preset == "cpu"
    assert isinstance(base.matching, UnrolledTraining)
    factorization = (
        LinearBases(factor=1 if data == "digits" else 2, storage="uint8") if cpu else LinearBases(init="noise")
    )
    method = replace(
        base,
        name="linba",
        factorization=factorization,
        matching=replace(base.matching, synthetic_batch=3 if cpu else 32),
    )
    if cpu:
        optimiser = replace(base.optimiser, group_learning_rates=factorization.learning_rates())
        method = replace(method, optimiser=optimiser)
    return as_many_numbers_as_images(method, ipc)
