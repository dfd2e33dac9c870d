"""``privatize``: any method that asks for gradients or features, under differential privacy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from opacus.accountants import IAccountant

import ddcore as dd
from ddapps.privacy.certificate import MAX_NORM, MIN_NORM
from ddapps.privacy.entropy import Entropy, SystemEntropy
from ddapps.privacy.ledger import digest_of
from ddapps.privacy.networks import feature_norm
from ddapps.privacy.plan import check_budget, ledger_for, ledger_path, plan, remembering, words_of
from ddapps.privacy.signal import Mechanism, PrivateSignal
from ddcore.errors import BudgetError, DivergenceError, OutputExistsError, UnsupportedError
from ddcore.ground import resolve_device, write_atomically
from ddcore.settings import require

CHECKPOINT = "checkpoint.safetensors"
MADE = "made-by"
"""File that holds the digest of the words and data which the finished summary was made of."""
GRADIENT_NORM = 0.1
"""Default clipping norm of gradients: that of Chen et al. 2022."""


@dataclass(frozen=True)
class PrivateMethod:
    """A method with its privacy settings; it serves any number of runs.

    It is made by `privatize`, whose arguments are its fields.

    Attributes:
        changes: what `privatize` had to change of the method, in words.
        questions: how many it asks; None: one per step.
        noise_multiplier: of every answer; None: what the budget allows.
        signal: answers them.
    """

    method: dd.Method
    epsilon: float
    delta: float
    max_grad_norm: float | None = None
    sample_rate: float | None = None
    accountant: str | IAccountant = "prv"
    counts: Mapping[int, int] | None = field(default=None, hash=False)
    changes: tuple[str, ...] = ()
    questions: int | None = None
    noise_multiplier: float | None = None
    signal: type[PrivateSignal] = PrivateSignal

    def __post_init__(self) -> None:
        require_noisy_questions(self.method)

    def mechanism(self, target: dd.TargetData, initialisation: str = "noise") -> Mechanism:
        """Return the public constants for this data; see `plan`."""
        given = [f"weights of {name} {sha[:12]}" for name, sha in self.method.networks.given_weights()]
        return plan(
            target,
            epsilon=self.epsilon,
            delta=self.delta,
            max_grad_norm=self._norm(target) if self.max_grad_norm is None else self.max_grad_norm,
            sample_rate=self.sample_rate,
            real_batch=getattr(self.method.matching, "real_batch", 256),
            real_total=getattr(self.method.matching, "real_total", None),
            steps=self.questions or self.method.steps,
            accountant=self.accountant,
            counts=self.counts,
            initialisation=initialisation,
            assumed_public=given,
            noise_multiplier=self.noise_multiplier,
        )

    def distill(
        self,
        target: dd.TargetData,
        *,
        seed: int = 0,
        out: str | Path | None = None,
        ledger: str | Path | None = None,
        ledger_budget: tuple[float, float] | None = None,
        overwrite: bool = False,
        start: dd.DataSummary | None = None,
        entropy: Entropy | None = None,
        device: str | torch.device = "auto",
        precision: str | None = None,
        checkpoint_seconds: float = 30.0,
        callbacks: Sequence[Callable[[dd.Progress], None]] = (),
        progress: bool = False,
        micro_batch: int | None = None,
    ) -> dd.DataSummary:
        """Distill privately; the summary carries a certificate (`verify`).

        Args:
            target: the private data. Its normalisation must be public: ``load_data(...,
                normalisation=PUBLIC_NORMALISATION)``.
            seed: of public random numbers: networks, initial noise, order. Never of what hides the
                data.
            out: directory for the summary, which can be handed out as it is. What must not be is
                kept beside it, in ``out.private`` (mode 0700). A run that is killed and started
                again with the same words goes on from a checkpoint there, which is removed at the
                end. What was asked since that checkpoint stays paid, so it may end with fewer
                steps.
            ledger: file that keeps the total spent on this dataset; default: the one that
                `ddapps.privacy.ledger_of` finds for it again, whatever ``out`` is. `NO_LEDGER`:
                nothing remembers it, which the certificate says.
            ledger_budget: epsilon and delta of a new ledger; default: those of this run, so that a
                second one is refused.
            overwrite: distill again, and pay again from the same ledger, where ``out`` holds a
                result.
            start: a *public* summary to start from, instead of noise.
            entropy: of draws and noise; default: the operating system.
            device: as in ``ddcore.distill``.
            precision: as in ``ddcore.distill``.
            checkpoint_seconds: as in ``ddcore.distill``.
            callbacks: as in ``ddcore.distill``.
            progress: as in ``ddcore.distill``.
            micro_batch: as in ``ddcore.distill``.

        Raises:
            BudgetError: the ledger does not allow so much.
            UnsupportedError: the method or its networks cannot be private.
            OutputExistsError: ``out`` holds the summary of other words.
        """
        if start is not None:
            _require_public(start.record, target.fingerprint())
        if target.spec.task.numeric:
            raise dd.errors.UnsupportedError("private distillation is of classes; the targets here are numbers")
        self.method.require_fitting(target.spec)
        method = self.method.at_precision(precision, resolve_device(device))
        mechanism = self.mechanism(target, "noise" if start is None else f"public summary {start.sha256()[:12]}")
        mechanism = remembering(mechanism, ledger)
        words = words_of(mechanism, {"method": method.describe(), "seed": seed})
        place = None if out is None else Path(out)
        aside = None if place is None else private_folder(place)
        checkpoint = None if aside is None else aside / CHECKPOINT
        path = ledger_path(target, ledger)
        with ledger_for(target, mechanism, path, ledger_budget) as book:
            text = json.dumps(words, sort_keys=True)
            mark = digest_of(f"{text}/{target.fingerprint()}")
            if overwrite or aside is None:
                book.abandon(text)
            elif place is not None and (place / "config.json").exists():
                if (aside / MADE).exists() and (aside / MADE).read_text() == mark:
                    _remove(checkpoint)
                    return dd.DataSummary.load(place)
                if not book.is_open(text):
                    raise OutputExistsError(f"{place} holds another summary: choose another directory, or overwrite it")
            watched = None if isinstance(self.accountant, str) else self.accountant
            signal = self.signal(target, mechanism, book, words, entropy or SystemEntropy(), watched)
            signal.certificate()  # what cannot be certified is refused before anything is paid, or lost
            if overwrite and aside is not None:
                _remove(checkpoint)
                _remove(aside / MADE)
            if signal.exhausted() and not (checkpoint is not None and checkpoint.exists()):
                raise BudgetError(
                    "an interrupted run of the same words has paid for all of its answers, and its checkpoint is gone: "
                    "start another, which costs another budget (overwrite, or another seed)"
                )
            try:
                summary = dd.distill(
                    None,
                    method,
                    seed=seed,
                    real=signal,
                    start=start,
                    checkpoint=checkpoint,
                    device=device,
                    checkpoint_seconds=0.0 if self.signal.repeats else checkpoint_seconds,
                    callbacks=callbacks,
                    progress=progress,
                    micro_batch=micro_batch,
                )
            except DivergenceError as error:
                told = error if place is None else error.saved_in(place / "last-good")
                signal.finish()
                _remove(checkpoint)
                raise told from error.__cause__
            if place is not None:
                summary.save(place, overwrite=True)
            if signal.exhausted() or summary.record["steps"] == method.steps:
                if aside is not None:
                    write_atomically(aside / MADE, mark.encode(), mode=0o600)
                signal.finish()
                _remove(checkpoint)
        return summary

    def _norm(self, target: dd.TargetData) -> float:
        if "gradients" in self.method.asks():
            return GRADIENT_NORM
        return feature_norm(self.method.networks, target.spec)


def private_folder(out: Path) -> Path:
    """Return the folder beside a summary's for what must not be handed out.

    That is a checkpoint, and canaries.
    """
    folder = out.with_name(f"{out.name}.private")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _require_public(record: Mapping[str, Any], data_sha256: str) -> None:
    """Raise if a summary, or a part of a union, was made of the private data, or privately."""
    if record.get("privacy") is not None:
        raise UnsupportedError(
            "a private summary as start would add its loss to this run's: start from public data or noise"
        )
    if record.get("data_sha256") == data_sha256:
        raise UnsupportedError(
            "the starting summary was made of the private data itself: start from public data or noise"
        )
    for part in record.get("union_of", []):
        _require_public(part, data_sha256)


def privatize(
    method: dd.Method,
    *,
    epsilon: float,
    delta: float,
    max_grad_norm: float | None = None,
    sample_rate: float | None = None,
    accountant: str | IAccountant = "prv",
    counts: Mapping[int, int] | None = None,
    questions: int | None = None,
    noise_multiplier: float | None = None,
) -> PrivateMethod:
    r"""Return ``method`` under :math:`(\epsilon, \delta)`-differential privacy.

    Neighbours differ by one example that counts as nothing in one of them; class sizes are public
    and stay. Real gradients or features are clipped per example, cut to a public grid, and summed
    over a Poisson draw; integer noise is added (`NoisySum`). The noise is chosen so that all steps
    together stay within the budget.

    Args:
        method: one that asks for gradients or features alone: ``psg, dc, dsa, dcc, dm, dd,
            linba_no_factorization, linba, kfs, gtn``, or a composition of the same parts. An
            initialisation by real examples is replaced by noise (see ``changes`` of the result).
        epsilon: above 0; below 1 is strong, 10 is weak.
        delta: below one over the number of examples.
        max_grad_norm: the norm to which an example's gradient (or feature vector) is clipped.
            Default for gradients: .1; for features: the median norm of public noise images'
            features. Choose it without looking at the private data.
        sample_rate: chance of each example to take part in an answer; default: the method's
            ``real_total`` in all, or ``real_batch`` per class.
        accountant: ``prv`` or ``rdp``, or an Opacus accountant of yours. That is told of every
            answer, and what it was told before counts against ``epsilon``.
        questions: how many the method asks in all; default: one per step.
        noise_multiplier: of every answer; default: the least that keeps ``questions`` answers
            within the budget.
        counts: public examples per class; default: the true ones, taken for public.
            `release_counts` pays for noisy ones.

    Raises:
        SettingsError: a setting outside of what it allows.
        UnsupportedError: the method needs raw examples.
        UnknownNameError: no such accountant.

    Source: Chen et al. 2022 (arXiv:2211.04446); Abadi et al. 2016 (arXiv:1607.00133).
    """
    check_budget(epsilon, delta, sample_rate, accountant)
    require(
        max_grad_norm is None or MIN_NORM <= max_grad_norm <= MAX_NORM,
        f"max_grad_norm must lie in [{MIN_NORM:g}, {MAX_NORM:g}], not {max_grad_norm}",
    )
    require(
        noise_multiplier is None or 0 < noise_multiplier < float("inf"),
        f"noise_multiplier must be above 0, not {noise_multiplier}",
    )
    matching = method.matching
    if matching is None:
        raise UnsupportedError(
            f"{method.name!r} selects real examples, which would be published: use psg, dc, dsa, dcc, dm, dd, linba, kfs or gtn"
        )
    require(method.steps > 0, "a private method needs at least one step")
    changes: tuple[str, ...] = ()
    if "select" in method.factorization.asks() and "batch" not in method.factorization.asks():
        changes = ("initialisation: noise, since real examples would be published",)
        method = dd.override(method, "factorization.init", "noise")
    return PrivateMethod(
        method,
        float(epsilon),
        float(delta),
        max_grad_norm,
        sample_rate,
        accountant,
        counts,
        changes,
        questions,
        noise_multiplier,
    )


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def require_noisy_questions(method: dd.Method) -> None:
    """Raise `UnsupportedError` if a part of a method asks for more than noise can answer."""
    asked_by = {
        "the factorization": method.factorization.asks(),
        "the matching": frozenset() if method.matching is None else method.matching.asks(),
        "the network source": method.networks.asks(),
        "the labelling": frozenset({"teacher"}) if method.labels is not None else frozenset(),
    }
    for part, asked in asked_by.items():
        raw = asked - {"features", "gradients"}
        if raw:
            raise UnsupportedError(
                f"{method.name!r} cannot be private as it is: {part} asks for raw examples ({', '.join(sorted(raw))}). "
                "Use psg, dc, dsa, dcc, dm, dd, linba, kfs or gtn, or replace that part: networks may be public, or trained by dp_sgd with the "
                "same accountant (FixedNetworks)"
            )
