"""Random numbers that depend on (seed, purpose, step, ...) alone.

A resumed run therefore draws what it would have drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *key: int | str) -> int:
    """Return 63 bits that are a fixed function of ``seed`` and ``key`` (SHA-256)."""
    text = "/".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *key: int | str) -> torch.Generator:
    """Return a CPU generator for one purpose.

    Draws are made on the CPU, so every device sees the same numbers.
    """
    return torch.Generator().manual_seed(derive_seed(seed, *key))


@contextmanager
def default_generator_seeded(seed: int) -> Iterator[None]:
    """Seed torch's default CPU generator inside the block and restore it after.

    Module constructors draw their weights from that generator and take no other. Not for use from
    several threads.
    """
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


@contextmanager
def default_generators_seeded(seed: int) -> Iterator[None]:
    """Seed torch's default generators inside the block and restore them after.

    Those of GPUs in use are included.
    """
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    states = [torch.cuda.get_rng_state(gpu) for gpu in gpus]
    with default_generator_seeded(seed):
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(seed)
        try:
            yield
        finally:
            for gpu, state in zip(gpus, states, strict=True):
                torch.cuda.set_rng_state(state, gpu)
