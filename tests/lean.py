"""Published methods for tests that need neither a good selection nor good pictures of them."""

from __future__ import annotations

import ddcore as dd
from ddcore.images import ConvNet
from tests.running import shrunk

FEWER: dict[str, dict[str, object]] = {
    "it_gan": {"factorization.generator.width": 4, "factorization.inversion_steps": 5},
    "forgetting": {"factorization.init.architecture": ConvNet(width=4), "factorization.init.epochs": 2},
}


def lean(name: str, *, ipc: int = 2, steps: int = 3) -> dd.Method:
    """Return a published method made small, its inner trainings too."""
    method = shrunk(name, ipc=ipc, steps=steps)
    for path, few in FEWER.get(name, {}).items():
        method = dd.override(method, path, few)
    return method
