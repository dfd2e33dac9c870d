"""Privacy accounting, by Opacus: what noisy answers cost, and what noise a budget asks for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from opacus.accountants import IAccountant, create_accountant
from opacus.accountants.utils import get_noise_multiplier

from ddcore.errors import BudgetError, Setting, SettingsError, UnknownNameError

Query = tuple[float, float, int]
"""Noise multiplier, sampling rate, times: answers of a Poisson-subsampled Gaussian mechanism."""

ACCOUNTANTS = ("prv", "rdp")
"""Upper bounds. Opacus's ``gdp`` is not among them: it can come out too low."""

MAX_EPSILON = 500
"""Beyond it the accountants' numbers overflow; it would promise nothing anyway."""
TOO_LARGE = (
    "so many answers with so little noise do not fit the 'prv' accountant's memory: use ",
    Setting("accountant", "rdp"),
)
LEAST_NOISE, MOST_NOISE = 1e-2, 1e6
TOLERANCE = 1e-3
"""Relative, of a noise multiplier that is searched for."""
LARGEST_PRV = 30_000
"""Where ``(1 + epsilon) * sqrt(answers) * kinds`` is more, PRV tables do not fit in memory."""


def check_accountant(name: str) -> None:
    """Raise `UnknownNameError` unless ``name`` is an accountant that gives upper bounds."""
    if name not in ACCOUNTANTS:
        raise UnknownNameError("accountant", name, ACCOUNTANTS)


def epsilon_of(history: Sequence[Query], delta: float, accountant: str = "prv") -> float:
    r"""Return the :math:`\epsilon` of a history at ``delta``, by Opacus's accountant of that name.

    Raises:
        SettingsError: no finite bound, or one that the PRV accountant has no memory for.
    """
    check_accountant(accountant)
    history = merged(history)
    if not history:
        return 0.0
    if any(sigma <= 0 for sigma, _, _ in history):
        return math.inf
    if accountant == "prv":
        _check_memory(history, delta)
    try:
        return _epsilon(accountant, tuple(history), delta)
    except MemoryError as error:
        raise SettingsError(*TOO_LARGE) from error


def merged(history: Sequence[Query]) -> list[Query]:
    """Return the history with equal answers counted together; what was not given is left out."""
    counted: dict[tuple[float, float], int] = {}
    for sigma, rate, steps in history:
        counted[sigma, rate] = counted.get((sigma, rate), 0) + steps
    return [(sigma, rate, steps) for (sigma, rate), steps in counted.items() if steps > 0]


def _check_memory(history: Sequence[Query], delta: float) -> None:
    """Raise unless the tables of the PRV accountant fit; more noise needs less."""
    bound = _epsilon("rdp", tuple(history), delta)
    if not (1 + bound) * math.sqrt(sum(steps for _, _, steps in history)) * len(history) <= LARGEST_PRV:
        raise SettingsError(*TOO_LARGE)


@lru_cache(maxsize=1024)
def _epsilon(accountant: str, history: tuple[Query, ...], delta: float) -> float:
    counting = create_accountant(accountant)
    counting.history = list(history)
    with _without_advice():
        return float(counting.get_epsilon(delta=delta))


def noise_multiplier_for(
    epsilon: float,
    delta: float,
    sample_rate: float,
    steps: int,
    accountant: str = "prv",
    history: Sequence[Query] = (),
) -> float:
    """Return the noise multiplier at which ``steps`` more answers stay within the budget.

    Raises:
        BudgetError: ``history`` alone exceeds the budget, or no noise is strong enough.
    """
    check_accountant(accountant)
    return _noise_multiplier_for(epsilon, delta, sample_rate, steps, accountant, tuple(history))


@lru_cache(maxsize=256)
def _noise_multiplier_for(
    epsilon: float, delta: float, sample_rate: float, steps: int, accountant: str, history: tuple[Query, ...]
) -> float:
    spent = epsilon_of(history, delta, accountant)
    if spent >= epsilon:
        raise BudgetError(f"epsilon {spent:.4g} was spent before this run, of {epsilon}: nothing is left")
    high = 1.0
    try:
        with _without_advice():
            high = get_noise_multiplier(
                target_epsilon=epsilon, target_delta=delta, sample_rate=sample_rate, steps=steps, accountant="rdp"
            )
    except ValueError as error:  # Renyi bounds never go below about .1: the tight accountant may
        if accountant == "rdp":
            raise BudgetError(f"no noise keeps {steps} answers within epsilon {epsilon}: raise epsilon") from error
    if accountant == "rdp" and not history:
        return high

    fits = math.inf

    def total(sigma: float) -> float:
        nonlocal fits
        told = merged([*history, (sigma, sample_rate, steps)])
        if accountant == "prv" and sigma < fits:
            try:
                _check_memory(told, delta)
            except SettingsError:
                return math.inf
            fits = sigma
        try:
            return _epsilon(accountant, tuple(told), delta)
        except MemoryError:  # too little noise for the accountant's tables
            return math.inf

    # The Renyi bound says where to search. Whatever it says, the noise is bracketed before it is
    # searched.
    low, above, below = high / 2, total(high / 2), total(high)
    while not below <= epsilon:
        low, above, high = high, below, 2 * high
        if high > MOST_NOISE:
            raise BudgetError(f"no noise keeps {steps} answers within what is left of epsilon {epsilon}: raise epsilon")
        below = total(high)
    while low > LEAST_NOISE and above <= epsilon:
        low, high, below = low / 2, low, above
        above = total(low)
    while high - low > TOLERANCE * high:
        # Epsilon is close to a power of the noise. Half a tolerance from both ends, so that the
        # bracket closes around a good guess.
        share = math.log(above / epsilon) / math.log(above / below) if 0 < below <= epsilon < above < math.inf else 0.5
        guess = low * (high / low) ** share
        sigma = min(max(guess, low + TOLERANCE * high / 2), high - TOLERANCE * high / 2)
        found = total(sigma)
        low, above, high, below = (sigma, found, high, below) if found > epsilon else (low, above, sigma, found)
    return high


def history_of(accountant: IAccountant) -> list[Query]:
    """Return what an Opacus accountant has been told so far."""
    return merged([(float(sigma), float(rate), int(steps)) for sigma, rate, steps in accountant.history])


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence Opacus's hint at other orders, and its logarithms of 0 at sampling rate 1."""
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
