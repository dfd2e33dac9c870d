"""TESLA: trajectory matching with the published approximation of its gradient."""

from __future__ import annotations

from dataclasses import replace

from ddcore.factorization import Ipc
from ddcore.matching import TrajectoryMatching
from ddcore.method import Method
from ddcore.methods.mtt import mtt


def tesla(ipc: Ipc = 10, preset: str = "paper", data: str | None = None) -> Method:
    """MTT whose gradient takes the weights of every inner step as given.

    The paper (arXiv:2211.10586) derives an exact gradient in constant memory; its code leaves out how each step's weights depend on
    the examples of earlier steps, and that is what this is. MTT has the exact one here. Labels are hard, as in its CIFAR commands;
    ``matching.labels=assigned`` with ``factorization.labels=soft`` takes them from the target expert at every step. Settings: MTT's.
    """
    method = mtt(ipc, preset, data)
    assert isinstance(method.matching, TrajectoryMatching)
    return replace(
        method, name="tesla", cites=("tesla", "mtt", "dsa"), matching=replace(method.matching, gradient="detached")
    )
