"""Analytic kernels by name: ``ntk(layers=conv,depth=2)``."""

from __future__ import annotations

import dataclasses

from ddcore.errors import UnknownNameError
from ddcore.kernels.analytic import KINDS, AnalyticKernel
from ddcore.settings import settings_from_text, settings_text

KERNELS: dict[str, AnalyticKernel] = {kind: AnalyticKernel(kind) for kind in KINDS}


def as_kernel(given: object) -> AnalyticKernel:
    """Return an analytic kernel from one, or from its name with settings in brackets."""
    if isinstance(given, AnalyticKernel):
        return given
    if not isinstance(given, str):
        raise UnknownNameError("kernel", given, KERNELS)
    return settings_from_text(given, KERNELS, "kernel")


def kernel_label(kernel: AnalyticKernel) -> str:
    """Return its name, with the settings that differ from the default in brackets."""
    return settings_text(kernel.kind, dataclasses.replace(kernel, kind=KERNELS["ntk"].kind))
