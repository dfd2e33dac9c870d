"""Answers of private clients: any method that `ddapps.privacy` takes, one budget for all rounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flwr.app import ConfigRecord, RecordDict
from opacus.accountants import IAccountant, create_accountant

import ddcore as dd
from ddapps.federated.remembered import Remembered
from ddapps.federated.roles import Client
from ddapps.federated.summary_size import coarser, sized
from ddapps.federated.wire import Task, pack
from ddapps.privacy import NO_LEDGER, Certificate, PrivateMethod, epsilon_of, privatize, release_counts
from ddapps.privacy.accounting import history_of
from ddcore.errors import BudgetError, SettingsError
from ddcore.parts import NetworkSource
from ddcore.settings import require
from ddcore.summary import DataSummary

COUNT_NOISE = 10.0
"""Standard deviation, in examples, of the noise on class sizes."""
ACCOUNTANT = "rdp"
MOST_BEFORE = 0.5
"""Share of the budget that may be gone before a run: with less left, an answer would be noise."""
PAID, SIZES, NOISE = "paid", "sizes", "noise"


@dataclass(frozen=True)
class Public:
    """What a private client tells of its classes.

    Attributes:
        target: its data, with the classes that it tells of.
        counts: their sizes, as the mechanism and the server are told.
        sent: whether the sizes are sent.
    """

    target: dd.TargetData
    counts: Mapping[int, int]
    sent: bool


def private_answer(client: Client, task: Task, source: NetworkSource | None) -> RecordDict:
    """Distil a client's data privately and return the reply.

    The noise is chosen once, so that all rounds together stay within the budget. What was paid is
    kept in the client's context and folder, before anything leaves. It is kept also where the
    answer has failed. This history takes the place of a ledger.

    Raises:
        BudgetError: the budget is spent.
    """
    memory, settings = Remembered(client), client.settings
    if client.directory is None:
        raise SettingsError(
            "a private client needs a folder of its own (directory in its node_config): without one the next run, or a "
            "restart, would know nothing of what it has spent"
        )
    require(
        settings.delta * len(client.target.train) < 1, "delta must lie below one over this client's number of examples"
    )
    with memory.locked():
        return _paid_answer(client, task, source, memory)


def _paid_answer(client: Client, task: Task, source: NetworkSource | None, memory: Remembered) -> RecordDict:
    settings, accountant = client.settings, _accountant(memory)
    require_left(memory, client, accountant)
    try:
        public = told(client, memory, accountant)
        method = sized(client, public.target, source, public.counts)
        budget: dict[str, Any] = {
            "epsilon": settings.epsilon,
            "delta": settings.delta,
            "accountant": accountant,
            "counts": public.counts,
        }
        noise = _noise(memory, client, public, partial(privatize, method, **budget), method.steps)
        private = privatize(method, **budget, noise_multiplier=noise)
        summary = private.distill(public.target, seed=client.seed(task.round), device=settings.device, ledger=NO_LEDGER)
    finally:
        memory.put(PAID, _history(accountant))
    counts = dict(public.counts) if public.sent else {}
    summary = coarser(summary, settings.levels)
    return pack(summary, task, client.name, client.target.spec, counts=counts, num_examples=sum(counts.values()))


def _noise(
    memory: Remembered,
    client: Client,
    public: Public,
    planned: Callable[..., PrivateMethod],
    steps: int,
) -> float:
    """Return the noise multiplier of all rounds: chosen in the first, remembered after it."""
    known = memory.get(NOISE)
    if not _is_of(known, client):
        rounds = 1 if client.settings.one_answer else client.settings.rounds
        sigma = planned(questions=rounds * steps).mechanism(public.target).noise_multiplier
        known = ConfigRecord({"sigma": sigma, "settings": _key(client)})
        memory.put(NOISE, known)
    assert known is not None
    return float(known["sigma"])  # type: ignore[arg-type]


def _key(client: Client) -> str:
    return json.dumps(client.settings.of_clients(), sort_keys=True)


def _is_of(noise: ConfigRecord | None, client: Client) -> bool:
    """Whether the noise that is remembered was chosen for this run."""
    return noise is not None and noise["settings"] == _key(client)


def require_left(memory: Remembered, client: Client, accountant: IAccountant) -> None:
    """Raise `BudgetError` if so much was spent before this run that its answers would be noise."""
    if _is_of(memory.get(NOISE), client):
        return
    spent = epsilon_of(history_of(accountant), client.settings.delta, ACCOUNTANT)
    if spent > MOST_BEFORE * client.settings.epsilon:
        raise BudgetError(
            f"epsilon {spent:.4g} of {client.settings.epsilon} was spent before this run: what is left is too little for another"
        )


def least_epsilon(delta: float) -> float:
    """Return the smallest budget that leaves enough beside noisy class sizes."""
    return epsilon_of([(COUNT_NOISE, 1.0, 1)], delta, ACCOUNTANT) / MOST_BEFORE


def told(client: Client, memory: Remembered, accountant: IAccountant) -> Public:
    """Return what a client tells of its class sizes.

    They are told as they are, with noise that is paid for once, or not at all.
    """
    settings, target = client.settings, client.target
    every = tuple(range(target.spec.num_classes))
    if settings.counts == "public":
        counts = client.counts()
        return Public(_declared(target, tuple(counts)), counts, sent=True)
    if settings.counts == "withheld":
        return Public(
            _declared(target, every), dict.fromkeys(every, max(1, settings.examples // len(every))), sent=False
        )
    known = memory.get(SIZES)
    if known is None:
        noisy = release_counts(_declared(target, every), COUNT_NOISE, accountant)
        sizes = [noisy[class_id] for class_id in every]
        memory.put(PAID, _history(accountant))
        memory.put(SIZES, ConfigRecord({"sizes": sizes}))
    else:
        sizes = [int(size) for size in known["sizes"]]  # type: ignore[union-attr]
    counts = {class_id: size for class_id, size in enumerate(sizes) if size > 2 * COUNT_NOISE}
    if not counts:
        raise BudgetError(f"no class stands out of the noise of {COUNT_NOISE:g} examples on class sizes")
    return Public(_declared(target, tuple(counts)), counts, sent=True)


def _declared(target: dd.TargetData, classes: tuple[int, ...]) -> dd.TargetData:
    """Return data whose class set is told, and not read from its examples.

    Examples of other classes are never asked for.
    """
    read = tuple(name for name in target.spec.read_from_examples if name != "classes")
    return replace(target, spec=replace(target.spec, classes=classes, read_from_examples=read))


def _accountant(memory: Remembered) -> IAccountant:
    accountant = create_accountant(ACCOUNTANT)
    paid = memory.get(PAID)
    if paid is not None:
        entries = (paid["sigma"], paid["rate"], paid["times"])
        accountant.history = list(zip(*entries, strict=True))  # type: ignore[arg-type]
    return accountant


def _history(accountant: IAccountant) -> ConfigRecord:
    history = [(float(sigma), float(rate), int(times)) for sigma, rate, times in accountant.history]
    return ConfigRecord(
        {
            "sigma": [sigma for sigma, _, _ in history],
            "rate": [rate for _, rate, _ in history],
            "times": [times for _, _, times in history],
        }
    )


def union_epsilon(summaries: Sequence[DataSummary]) -> tuple[float, float]:
    r"""Return the :math:`(\epsilon, \delta)` of private summaries: the largest of each.

    Their records must be disjoint. Adding or removing one example changes the data of one client
    alone: all other summaries are distributed as before (parallel composition; McSherry 2009).
    Where clients share records, their budgets add up instead.

    Raises:
        CertificateError: one of them carries no certificate.
    """
    certificates = [Certificate.of(summary) for summary in summaries]
    if not certificates:
        raise SettingsError("a union needs one summary at least")
    return max(c.epsilon for c in certificates), max(c.delta for c in certificates)
