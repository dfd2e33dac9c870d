"""The engine: the one loop over steps, devices and precision, randomness, checkpoints."""

from ddcore.engine.devices import PRECISIONS, autocast, fitting_micro_batch, resolve_device, warm_allocator
from ddcore.engine.randomness import default_generator_seeded, derive_seed, generator

__all__ = [
    "PRECISIONS",
    "autocast",
    "default_generator_seeded",
    "derive_seed",
    "fitting_micro_batch",
    "generator",
    "resolve_device",
    "warm_allocator",
]
