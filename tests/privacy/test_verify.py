"""A certificate holds, or one of its edits is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import ddcore as dd
from ddapps.privacy import NO_LEDGER, Certificate, privatize, verify
from ddapps.privacy.baselines import mean_features
from ddcore.errors import CertificateError


@pytest.fixture(scope="module")
def summary(private_digits: dd.TargetData) -> dd.DataSummary:
    method = dd.methods.psg(ipc=1, preset="cpu").on_networks("convnet(width=4)").with_steps(3)
    return privatize(method, epsilon=2.0, delta=1e-3).distill(private_digits, ledger=NO_LEDGER)


def edited(summary: dd.DataSummary, **changed: Any) -> dd.DataSummary:
    certificate = dict(summary.record["privacy"]) | changed
    return replace(summary, record={**summary.record, "privacy": certificate})


def test_an_honest_certificate_holds_and_both_accountants_agree(summary: dd.DataSummary) -> None:
    found = verify(summary)
    assert found.holds, found.problems
    assert found.accountants["prv"] == found.epsilon == Certificate.of(summary).epsilon
    assert found.accountants["prv"] < found.accountants["rdp"] < 1.5 * found.accountants["prv"]
    assert found.to_json()["problems"] == []


def query(summary: dd.DataSummary) -> list[Any]:
    return list(summary.record["privacy"]["queries"][0])


def test_claiming_more_than_the_bound_is_allowed_up_to_what_was_asked_for(summary: dd.DataSummary) -> None:
    assert verify(edited(summary, epsilon=2.0)).holds
    assert not verify(edited(summary, epsilon=2.5)).holds


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"epsilon": 1.0}, "the prv accountant's bound is"),
        ({"delta": 1e-6}, "the prv accountant's bound is"),
        ({"accountant": "rdp"}, "the rdp accountant's bound is"),
        ({"steps": 2}, "the summary records 3 steps"),
        ({"steps": 9}, "9 answers are certified, 3 are charged"),
        ({"adjacency": "replace one example"}, "unknown adjacency"),
        ({"mechanism": "Laplace"}, "unknown mechanism"),
        ({"randomness": "a seed"}, "the noise came from a seed"),
        ({"examples": 5000}, "delta is not below"),
        ({"queries": [], "steps": 0, "epsilon": 0.0}, "the summary records 3 steps"),
        ({"queries": [], "steps": 0, "epsilon": 0.0, "repeated": True}, "on networks that change"),
        ({"initialisation": "public summary abc"}, "the initialisation is certified as"),
        ({"assumed_public": []}, "always taken for public"),
    ],
)
def test_edits_that_contradict_each_other_are_noticed(
    summary: dd.DataSummary, changed: dict[str, Any], problem: str
) -> None:
    found = verify(edited(summary, **changed))
    assert not found.holds
    assert any(problem in text for text in found.problems), found.problems


@pytest.mark.parametrize(("place", "factor"), [(0, 0.5), (2, 2)])
def test_less_noise_or_more_answers_than_claimed_are_noticed(
    summary: dd.DataSummary, place: int, factor: float
) -> None:
    changed = query(summary)
    changed[place] = type(changed[place])(changed[place] * factor)
    assert not verify(edited(summary, queries=[changed])).holds


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": 2},
        {"epsilon": float("nan")},
        {"epsilon": "2.0"},
        {"epsilon": -1.0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"steps": 2.5},
        {"steps": True},
        {"accountant": "gdp"},
        {"queries": [[1.0, 1.0]]},
        {"queries": [[0.0, 1.0, 3]]},
        {"queries": [[1.0, 1.5, 3]]},
        {"queries": [[1.0, 1.0, -3]]},
        {"queries": "none"},
        {"queries": [[1.0, 1.0, 1]] * 1000},
        {"assumed_public": [1]},
        {"randomness": "x" * 1000},
        {"unknown": 1},
        {"examples": 10**400},
        {"steps": 10**400},
    ],
)
def test_a_damaged_certificate_is_refused(summary: dd.DataSummary, changed: dict[str, Any]) -> None:
    with pytest.raises(CertificateError):
        verify(edited(summary, **changed))


def test_numbers_that_would_eat_the_memory_are_a_problem_and_not_tried(summary: dd.DataSummary) -> None:
    found = verify(edited(summary, queries=[[0.3, 0.01, 10**6]], steps=3))
    assert not found.holds
    assert any("gives no bound" in text for text in found.problems)


@pytest.mark.parametrize("changed", [{"data_sha256": "a" * 64}, {"seconds": 3.0}, {"start": {}}, {"steps": None}])
def test_a_record_that_says_otherwise_is_noticed(summary: dd.DataSummary, changed: dict[str, Any]) -> None:
    assert not verify(replace(summary, record={**summary.record, **changed})).holds


def test_what_has_no_certificate_says_why(summary: dd.DataSummary, private_digits: dd.TargetData) -> None:
    with pytest.raises(CertificateError, match="a union has no certificate"):
        verify(dd.concat([summary, summary]))
    plain = dd.distill(private_digits, dd.methods.random(ipc=1))
    with pytest.raises(CertificateError, match="carries no privacy certificate"):
        verify(plain)


def test_one_answer_serves_all_steps_of_mean_features(private_digits: dd.TargetData) -> None:
    private = mean_features(private_digits, epsilon=2.0, delta=1e-3, ipc=1, features=50, steps=5)
    summary = private.distill(private_digits, ledger=NO_LEDGER)
    certificate = Certificate.of(summary)
    assert (certificate.steps, summary.record["steps"], certificate.repeated) == (1, 5, True)
    assert certificate.max_grad_norm == 1.0
    assert verify(summary).holds
