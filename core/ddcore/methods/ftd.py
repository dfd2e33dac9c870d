"""FTD: flat trajectory distillation."""

from __future__ import annotations

from dataclasses import replace

from ddcore.factorization import Ipc
from ddcore.method import Method
from ddcore.methods.mtt import mtt
from ddcore.networks import ExpertSegments


def ftd(ipc: Ipc = 10, preset: str = "paper", data: str | None = None) -> Method:
    """MTT whose experts train towards flat regions, so that errors along the trajectory do not add up.

    Settings of the paper (arXiv:2211.11004, its scripts): experts by sharpness-aware descent of radius .01 and gap .4. All else is MTT's;
    the paper also averages the images over the steps, which is not done here.
    """
    method = mtt(ipc, preset, data)
    assert isinstance(method.networks, ExpertSegments)
    training = replace(method.networks.training, sharpness=0.01, gap=0.4)
    return replace(
        method, name="ftd", cites=("ftd", "mtt", "dsa"), networks=replace(method.networks, training=training)
    )
