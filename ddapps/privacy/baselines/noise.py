"""Labelled noise: what a network learns from nothing."""

from __future__ import annotations

import ddcore as dd
from ddcore.factorization import Ipc, Pixels


def noise(ipc: Ipc = 10) -> dd.Method:
    """Return the method that stores standard normal noise; it asks the data nothing, so it costs no privacy."""
    return dd.Method(name="noise", preset="cpu", factorization=Pixels(ipc=ipc, init="noise"))
