"""Answers of private clients: any method that `ddapps.privacy` takes, one budget for all rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from flwr.app import ConfigRecord, RecordDict
from opacus.accountants import IAccountant, create_accountant

import ddcore as dd
from ddapps.federated.forms.base import Client
from ddapps.federated.forms.distilling import coarser, sized
from ddapps.federated.remembered import Remembered
from ddapps.federated.wire import pack
from ddapps.privacy import Certificate, privatize, release_counts
from ddcore.data import Split
from ddcore.errors import BudgetError, DistillationError, SettingsError
from ddcore.networks import NetworkSource
from ddcore.summary import DataSummary

if TYPE_CHECKING:
    from ddapps.federated.wire import Task

COUNT_NOISE = 10.0
"""Standard deviation, in examples, of the noise on class sizes."""
ACCOUNTANT = "rdp"
PAID, SIZES = "paid", "sizes"


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

    What was paid is kept, in the client's context and folder, before the reply leaves; a client whose budget is spent says so. Where an answer
    has failed, its reason stays with the client: it might tell of the data.
    """
    memory = Remembered(client)
    accountant = _accountant(memory)
    try:
        public = told(client, memory, accountant)
        method = sized(client, public.target, source, public.counts)
        rounds = 1 if client.settings.one_answer else client.settings.rounds - task.round + 1
        if rounds < 1:
            raise BudgetError(f"the budget is for {client.settings.rounds} rounds, this is round {task.round}")
        private = privatize(
            method,
            epsilon=client.settings.epsilon,
            delta=client.settings.delta,
            accountant=accountant,
            counts=public.counts,
            questions=rounds * method.steps,
        )
        summary = private.distill(
            public.target,
            seed=client.seed(task.round),
            device=client.settings.device,
            max_seconds=client.settings.max_seconds or None,
        )
    except (BudgetError, SettingsError):
        raise
    except DistillationError as error:
        raise DistillationError(
            f"private distillation has failed ({type(error).__name__}); the reason stays with the client"
        ) from None
    memory.put(PAID, _history(accountant))
    counts = dict(public.counts) if public.sent else {}
    return pack(
        coarser(summary, client.settings.levels),
        task,
        client.name,
        client.target.spec,
        counts=counts,
        num_examples=sum(counts.values()),
    )


def told(client: Client, memory: Remembered, accountant: IAccountant) -> Public:
    """Return what a client tells of its classes: as it is, with noise that is paid for once, or nothing."""
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
        raise BudgetError(
            f"no class stands out of the noise of {COUNT_NOISE:g} examples on class sizes: this client has too few examples"
        )
    return Public(_declared(target, tuple(counts)), counts, sent=True)


def _declared(target: dd.TargetData, classes: tuple[int, ...]) -> dd.TargetData:
    """Return data whose class set is told, and not read from its examples; those of other classes are left out."""
    chosen = torch.isin(target.train.targets, torch.tensor(classes)).nonzero().flatten()
    if not len(chosen):
        raise BudgetError("none of the classes that this client tells of has an example")
    read = tuple(name for name in target.spec.read_from_examples if name != "classes")
    train = Split(target.train.inputs[chosen], target.train.targets[chosen])
    return replace(target, spec=replace(target.spec, classes=classes, read_from_examples=read), train=train)


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
    r"""Return the :math:`(\epsilon, \delta)` of private summaries of disjoint records: the largest of each.

    Adding or removing one example changes the data of one client alone, so that all other summaries are distributed as before (parallel
    composition; McSherry 2009). Where clients share records, their budgets add up instead.

    Raises:
        CertificateError: one of them carries no certificate.
    """
    certificates = [Certificate.of(summary) for summary in summaries]
    if not certificates:
        raise SettingsError("a union needs one summary at least")
    return max(c.epsilon for c in certificates), max(c.delta for c in certificates)
