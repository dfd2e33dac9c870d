"""The certificate of a private summary: what is claimed, and all that checks need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ddapps.privacy.accounting import ACCOUNTANTS, Query
from ddcore.errors import CertificateError
from ddcore.summary import DataSummary

SCHEMA = 1
ADJACENCY = "one example counted as nothing, class sizes as they are"
"""Zero-out: neighbours have the same public sizes, and in one of them an example has no part."""
MECHANISM = (
    "Poisson-subsampled Gaussian on integers (clipped per-example vectors on a public grid, rounded noise on their sum)"
)
ALWAYS_PUBLIC = ("shape", "classes", "class sizes as given", "normalisation", "method and settings")
MAX_ENTRIES, MAX_STEPS = 64, 10**7
MIN_SIGMA, MAX_SIGMA = 1e-3, 1e6
MIN_NORM, MAX_NORM = 1e-9, 1e9
"""Clipping norms between which float64 has the grid's steps and sums without trouble."""
MAX_WHOLE = 10**12


@dataclass(frozen=True)
class Certificate:
    r"""A claim of :math:`(\epsilon, \delta)`-differential privacy.

    Attributes:
        epsilon, delta: the claim. It is the bound of the named accountant for all answers that were
            planned, so at least that of ``queries``.
        target_epsilon: what was asked for.
        adjacency: which data sets count as neighbours.
        mechanism: how answers are made.
        queries: (noise multiplier, sampling rate, times) of everything that was charged, earlier
            charges of a caller's accountant included.
        max_grad_norm: the norm to which each example's vector is clipped.
        steps: questions of this run that were answered and paid, interrupted ones included.
        examples: public number of examples.
        accountant, opacus: name of the accountant, version of its package.
        randomness: where noise and draws come from.
        assumed_public: what the claim takes for known to everybody.
        initialisation: of the synthetic examples.
        repeated: whether answers were used again at later steps, which is free. Then steps
            outnumber answers.
    """

    epsilon: float
    delta: float
    target_epsilon: float
    queries: tuple[Query, ...]
    max_grad_norm: float
    steps: int
    examples: int
    accountant: str
    opacus: str
    randomness: str
    assumed_public: tuple[str, ...]
    initialisation: str
    repeated: bool = False
    adjacency: str = ADJACENCY
    mechanism: str = MECHANISM

    def __post_init__(self) -> None:
        _check(0 <= self.epsilon < math.inf, "epsilon", self.epsilon)
        _check(0 < self.target_epsilon < math.inf, "target_epsilon", self.target_epsilon)
        _check(0 < self.delta < 1, "delta", self.delta)
        _check(MIN_NORM <= self.max_grad_norm <= MAX_NORM, "max_grad_norm", self.max_grad_norm)
        _check(self.steps >= 0, "steps", self.steps)
        _check(self.examples > 0, "examples", self.examples)
        _check(self.accountant in ACCOUNTANTS, "accountant", self.accountant)
        _check(len(self.queries) <= MAX_ENTRIES, "queries", f"{len(self.queries)} entries")
        for sigma, rate, times in self.queries:
            _check(MIN_SIGMA <= sigma <= MAX_SIGMA, "noise multiplier", sigma)
            _check(0 < rate <= 1, "sampling rate", rate)
            _check(0 <= times <= MAX_STEPS, "number of answers", times)

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``privacy`` of a summary's record."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def of(cls, summary: DataSummary) -> Certificate:
        """Return a summary's certificate.

        Raises:
            CertificateError: it has none, or one that is damaged.
        """
        entry = summary.record.get("privacy")
        if entry is None and "union_of" in summary.record:
            raise CertificateError("a union has no certificate of its own: verify the summaries that it is made of")
        if entry is None:
            raise CertificateError("this summary carries no privacy certificate: it was not distilled privately")
        return cls.from_json(entry)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Certificate:
        """Rebuild what `to_json` gave, checking every value."""
        if not isinstance(entry, Mapping) or entry.get("schema") != SCHEMA:
            raise CertificateError(f"the certificate is not of schema {SCHEMA}, which this version reads")
        names = set(cls.__dataclass_fields__)
        if set(entry) != names | {"schema"}:
            raise CertificateError(
                f"the certificate has unknown or missing entries: {sorted(set(entry) ^ (names | {'schema'}))[:5]}"
            )
        return cls(
            epsilon=_real(entry["epsilon"], "epsilon"),
            delta=_real(entry["delta"], "delta"),
            target_epsilon=_real(entry["target_epsilon"], "target_epsilon"),
            queries=tuple(_query(query) for query in _list(entry["queries"], "queries")),
            max_grad_norm=_real(entry["max_grad_norm"], "max_grad_norm"),
            steps=_whole(entry["steps"], "steps"),
            examples=_whole(entry["examples"], "examples"),
            accountant=_text(entry["accountant"], "accountant"),
            opacus=_text(entry["opacus"], "opacus"),
            randomness=_text(entry["randomness"], "randomness"),
            assumed_public=tuple(_text(t, "assumed_public") for t in _list(entry["assumed_public"], "assumed_public")),
            initialisation=_text(entry["initialisation"], "initialisation"),
            repeated=_flag(entry["repeated"], "repeated"),
            adjacency=_text(entry["adjacency"], "adjacency"),
            mechanism=_text(entry["mechanism"], "mechanism"),
        )


def _check(condition: bool, name: str, value: object) -> None:
    if not condition:
        raise CertificateError(f"the certificate's {name} is {str(value)[:40]!r}, which cannot be")


def _list(value: object, name: str) -> list[Any]:
    _check(isinstance(value, list | tuple) and len(value) <= MAX_ENTRIES, name, value)
    return list(value)  # type: ignore[call-overload,no-any-return]


def _query(value: object) -> Query:
    entries = _list(value, "queries")
    _check(len(entries) == 3, "queries", value)
    return _real(entries[0], "queries"), _real(entries[1], "queries"), _whole(entries[2], "queries")


def _text(value: object, name: str) -> str:
    _check(isinstance(value, str) and len(value) <= 400 and value.isprintable(), name, value)
    return str(value)


def _real(value: object, name: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    _check(number and math.isfinite(value), name, value)  # type: ignore[arg-type]
    return float(value)  # type: ignore[arg-type]


def _flag(value: object, name: str) -> bool:
    _check(type(value) is bool, name, value)
    return bool(value)


def _whole(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_WHOLE:
        return value
    raise CertificateError(f"the certificate's {name} is not a whole number that can be")
