"""Training of one network on real or synthetic examples, by a schedule and a recipe."""

from ddcore.parts import LOSSES, Recipe, Steps, mixed_batches, step_batches
from ddcore.training.fit import Schedule, Training, Watch, fit, reproducible_dropout, take_step, under_feed
from ddcore.training.protocol import HARD, PROTOCOLS, Protocol
from ddcore.training.teacher import Teacher, require_teachers

__all__ = [
    "HARD",
    "LOSSES",
    "PROTOCOLS",
    "Protocol",
    "Recipe",
    "Schedule",
    "Steps",
    "Teacher",
    "Training",
    "Watch",
    "fit",
    "mixed_batches",
    "reproducible_dropout",
    "require_teachers",
    "step_batches",
    "take_step",
    "under_feed",
]
