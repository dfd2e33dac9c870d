"""Checking a certificate: is the claim what the accountants say of the answers that it lists?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ddapps.privacy.accounting import ACCOUNTANTS, epsilon_of
from ddapps.privacy.certificate import ADJACENCY, ALWAYS_PUBLIC, MECHANISM, Certificate
from ddapps.privacy.entropy import SystemEntropy
from ddcore.errors import SettingsError
from ddcore.parts import NOISE
from ddcore.summary import DataSummary

TOLERANCE = 1e-6
PRV_ERROR = 0.02
"""The PRV accountant's own error bars; elsewhere it lies below the RDP accountant's bound."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        epsilon, delta: the claim.
        holds: whether nothing speaks against it.
        accountants: bound of every accountant for the certificate's answers.
        problems: what speaks against the claim.
    """

    epsilon: float
    delta: float
    accountants: dict[str, float]
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the claim."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``ddapps privacy verify --json`` writes."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "holds": self.holds,
            "accountants": self.accountants,
            "problems": list(self.problems),
        }


def verify(summary: DataSummary) -> Verification:
    """Check a summary's certificate against the accountants.

    It detects edits that contradict each other. It cannot detect a forgery that is consistent in
    itself, nor noise that was never added. For that, trust whoever ran the distillation, or run it
    yourself.

    Raises:
        CertificateError: there is no certificate, or one that is damaged.
    """
    certificate = Certificate.of(summary)
    problems = list(_contradictions(certificate, summary))
    bounds: dict[str, float] = {}
    for name in ACCOUNTANTS:
        try:
            bounds[name] = epsilon_of(certificate.queries, certificate.delta, name)
        except (SettingsError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
            problems.append(f"the {name} accountant gives no bound: {error}")
    bound = bounds.get(certificate.accountant)
    if bound is not None and certificate.epsilon < bound - TOLERANCE:
        problems.append(
            f"epsilon {certificate.epsilon:.6g} is claimed, the {certificate.accountant} accountant's bound is {bound:.6g}"
        )
    if len(bounds) == len(ACCOUNTANTS) and bounds["prv"] > bounds["rdp"] + PRV_ERROR:
        problems.append(f"the accountants contradict each other: prv {bounds['prv']:.6g}, rdp {bounds['rdp']:.6g}")
    return Verification(certificate.epsilon, certificate.delta, bounds, tuple(problems))


def _contradictions(certificate: Certificate, summary: DataSummary) -> list[str]:
    record = summary.record
    charged = sum(times for _, _, times in certificate.queries)
    steps = record.get("steps")
    method = record.get("method", {})
    init = _nested(method, "factorization", "init")
    fixed = _nested(method, "networks", "type") == "FixedNetworks"
    found = [
        (certificate.randomness != SystemEntropy.description, f"the noise came from {certificate.randomness}"),
        (certificate.adjacency != ADJACENCY, f"unknown adjacency {certificate.adjacency!r}"),
        (certificate.mechanism != MECHANISM, f"unknown mechanism {certificate.mechanism!r}"),
        (charged < certificate.steps, f"{certificate.steps} answers are certified, {charged} are charged"),
        (
            type(steps) is not int
            or (steps > certificate.steps and not certificate.repeated)
            or (steps > 0 and certificate.steps == 0),
            f"the summary records {steps} steps, certified are {certificate.steps} answers",
        ),
        (certificate.repeated and not fixed, "answers are said to be used again, on networks that change"),
        (
            (record.get("start") is None) != (certificate.initialisation == "noise")
            or (init not in NOISE and init is not None),
            f"the initialisation is certified as {certificate.initialisation!r}, the record says otherwise",
        ),
        (
            not set(ALWAYS_PUBLIC) <= set(certificate.assumed_public),
            "facts that are always taken for public are not listed",
        ),
        (
            record.get("data_sha256") is not None or record.get("seconds") is not None,
            "the record holds a hash of the data or the time taken, which a private run withholds",
        ),
        (certificate.delta * certificate.examples >= 1, f"delta is not below 1 / {certificate.examples} examples"),
        (
            certificate.epsilon > certificate.target_epsilon + TOLERANCE,
            f"epsilon {certificate.epsilon:.6g} exceeds the {certificate.target_epsilon:.6g} that was asked for",
        ),
    ]
    return [text for wrong, text in found if wrong]


def _nested(value: object, *names: str) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
