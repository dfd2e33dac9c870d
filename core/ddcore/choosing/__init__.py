"""Which method, in so many bytes: measured, on validation data."""

from ddcore.choosing.choose import MethodChoice, choose_method
from ddcore.choosing.contest import Rung, clearly_above
from ddcore.choosing.portfolio import SOFT, Candidate, codecs, portfolio, through
from ddcore.engine.fitting import fitted

__all__ = [
    "SOFT",
    "Candidate",
    "MethodChoice",
    "Rung",
    "choose_method",
    "clearly_above",
    "codecs",
    "fitted",
    "portfolio",
    "through",
]
