"""Training of one network on real or synthetic examples, by a schedule and a recipe."""

from ddcore.parts import LOSSES, Recipe, Steps, mixed_batches, step_batches
from ddcore.training.fit import Training, Watch, fit, reproducible_dropout, take_step
from ddcore.training.protocol import PROTOCOLS, Protocol

__all__ = [
    "LOSSES",
    "PROTOCOLS",
    "Protocol",
    "Recipe",
    "Steps",
    "Training",
    "Watch",
    "fit",
    "mixed_batches",
    "reproducible_dropout",
    "step_batches",
    "take_step",
]
