"""From a budget to the public constants of a mechanism, and the ledger that holds a run to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opacus.accountants import IAccountant

from ddapps.privacy.accounting import MAX_EPSILON, check_accountant, epsilon_of, history_of, noise_multiplier_for
from ddapps.privacy.certificate import ALWAYS_PUBLIC
from ddapps.privacy.counts import DECLARE_CLASSES
from ddapps.privacy.home import NO_LEDGER, ledger_of, records_digest
from ddapps.privacy.ledger import Ledger
from ddapps.privacy.signal import Mechanism
from ddcore.errors import BudgetError, InputDataError, Setting, UnsupportedError
from ddcore.images import Standardise
from ddcore.parts import TargetData
from ddcore.settings import require

UNREMEMBERED = "that no other run asked these data: no ledger was kept"
PUBLIC_NORMALISATION = Standardise((0.5,), (0.5,))
"""Maps pixels from [0, 1] to [-1, 1]; nothing of it is read from data."""


DECLARE = {
    "classes": ("the classes of {name} were read from its private examples: declare them, ", DECLARE_CLASSES),
    "class_names": (
        "the class names of {name} were read from its private examples: declare them, ",
        Setting("class_names", call="class_names=[...]"),
    ),
    "shape": (
        "the shape of {name} was read from its private examples: declare it, ",
        Setting("shape", call="shape=(channels, height, width)"),
    ),
    "normalisation": (
        "the normalisation of {name} was fitted to its private examples: give public constants, ",
        Setting("normalisation", call="load_data(..., normalisation=PUBLIC_NORMALISATION)"),
    ),
    "columns": (
        "the columns of {name} were read from its private examples: load it with ",
        Setting("like"),
        ", the spec of public data",
    ),
    "split": (
        "the splits of {name} were drawn by a permutation, so that one example more moves others: give it a test split of "
        "its own, or load it with ",
        Setting("split_by", "content"),
    ),
}
"""What to do about a fact that was read from private examples."""


def check_budget(epsilon: float, delta: float, sample_rate: float | None, accountant: str | IAccountant) -> None:
    """Raise unless a budget makes sense: `SettingsError`, or `UnknownNameError`."""
    for name, value, most in (("epsilon", epsilon, MAX_EPSILON), ("delta", delta, 1)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        require(number and 0 < value <= most, f"{name} must be above 0, at most {most}, not {value!r}")
    require(delta < 1, f"delta is a probability below 1 / number of examples, not {delta}")
    require(sample_rate is None or 0 < sample_rate <= 1, f"sample_rate must lie in (0, 1], not {sample_rate}")
    check_accountant(accountant if isinstance(accountant, str) else accountant.mechanism())


def plan(
    target: TargetData,
    *,
    epsilon: float,
    delta: float,
    max_grad_norm: float,
    steps: int,
    sample_rate: float | None = None,
    real_batch: int = 256,
    real_total: int | None = None,
    accountant: str | IAccountant = "prv",
    counts: Mapping[int, int] | None = None,
    initialisation: str = "noise",
    assumed_public: Sequence[str] = (),
    noise_multiplier: float | None = None,
) -> Mechanism:
    """Return the public constants for some data.

    The noise follows from budget, sampling rate and number of questions.

    Args:
        target: the private data, of which class sizes are read unless ``counts`` gives them.
        epsilon: as in `privatize`.
        delta: as in `privatize`.
        max_grad_norm: clipping norm.
        steps: number of questions.
        sample_rate: chance of each example to take part in an answer; default: ``real_batch`` per
            class on average.
        real_batch: see ``sample_rate``.
        real_total: examples in all on average, in place of ``real_batch``.
        accountant: as in `privatize`.
        counts: as in `privatize`.
        initialisation: for the certificate.
        assumed_public: for the certificate, beside what always is.
        noise_multiplier: in place of the least noise that the budget allows.

    Raises:
        InputDataError: class set or normalisation were read from the private examples.
        SettingsError: delta is not below one over the number of examples.
        BudgetError: a caller's accountant has spent the budget already, or the noise that was given
            is too weak for it.
    """
    check_budget(epsilon, delta, sample_rate, accountant)
    require_declared(target)
    public = _public_counts(target, counts)
    examples = sum(public.values())
    require(delta * examples < 1, f"delta must lie below 1 / {examples} examples, not {delta}")
    rate = sample_rate or min(1.0, (real_total or real_batch * len(public)) / examples)
    name = accountant if isinstance(accountant, str) else accountant.mechanism()
    history = [] if isinstance(accountant, str) else history_of(accountant)
    if noise_multiplier is None:
        noise_multiplier = noise_multiplier_for(epsilon, delta, rate, steps, name, history)
    else:
        total = epsilon_of([*history, (noise_multiplier, rate, steps)], delta, name)
        if not total <= epsilon:
            raise BudgetError(
                f"{steps} answers with noise {noise_multiplier:.4g} would bring the total to epsilon {total:.4g}, of {epsilon}"
            )
    return Mechanism(
        noise_multiplier=noise_multiplier,
        max_grad_norm=max_grad_norm,
        sample_rate=rate,
        steps=steps,
        epsilon=epsilon,
        delta=delta,
        accountant=name,
        counts=public,
        initialisation=initialisation,
        assumed_public=(*ALWAYS_PUBLIC, *assumed_public),
    )


def words_of(mechanism: Mechanism, words: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a run from others: method, seed and the like, and the mechanism."""
    return {**words, "privacy": dataclasses.asdict(mechanism) | {"counts": sorted(mechanism.counts.items())}}


def remembering(mechanism: Mechanism, ledger: str | Path | None) -> Mechanism:
    """Return the mechanism, which says so where no ledger is kept."""
    if ledger != NO_LEDGER:
        return mechanism
    return dataclasses.replace(mechanism, assumed_public=(*mechanism.assumed_public, UNREMEMBERED))


def ledger_path(target: TargetData, ledger: str | Path | None) -> Path | None:
    """Return the ledger's file: the given one, else the dataset's own; None for `NO_LEDGER`."""
    if ledger == NO_LEDGER:
        return None
    return ledger_of(target) if ledger is None else Path(ledger)


@contextmanager
def ledger_for(
    target: TargetData, mechanism: Mechanism, path: Path | None, budget: tuple[float, float] | None = None
) -> Iterator[Ledger]:
    """Yield the ledger of a dataset, held until the block ends.

    Args:
        target: the private data.
        mechanism: of the run.
        path: of the file; None: memory.
        budget: epsilon and delta of a new file; default: this run's own, so that a second run is
            refused.
    """
    exists = path is not None and path.exists()
    epsilon, delta = budget or ((None, None) if exists else (mechanism.epsilon, mechanism.delta))
    ledger = Ledger(path, records_digest(target), epsilon, delta, mechanism.accountant)
    try:
        yield ledger
    finally:
        ledger.close()


def require_declared(target: TargetData) -> None:
    """Raise `InputDataError` if a fact that a summary publishes was read from private examples."""
    if target.spec.connected:
        raise UnsupportedError(
            f"the examples of {target.name} are connected, so one of them changes what networks say of others, and clipping bounds "
            "nothing: privacy is for independent records"
        )
    for fact in target.spec.read_from_examples:
        first, *others = DECLARE.get(fact, (f"{fact!r} of {{name}} was read from its private examples",))
        raise InputDataError(str(first).format(name=target.name), *others)


def _public_counts(target: TargetData, given: Mapping[int, int] | None) -> dict[int, int]:
    counts = target.counts() if given is None else dict(given)
    require(
        set(counts) == set(target.spec.classes) and all(isinstance(n, int) and n >= 0 for n in counts.values()),
        f"counts must give a number of examples to each of the classes {target.spec.classes}",
    )
    return counts
