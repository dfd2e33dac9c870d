"""Labelled noise: what a network learns from nothing."""

from __future__ import annotations

import ddcore as dd
from ddcore.images import Pixels
from ddcore.parts import Ipc


def noise(ipc: Ipc = 10) -> dd.Method:
    """Return the method that stores standard normal noise: it asks nothing, and costs nothing."""
    return dd.Method(name="noise", preset="cpu", factorization=Pixels(ipc=ipc, init="noise"))
