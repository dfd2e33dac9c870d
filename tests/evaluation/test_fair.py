"""What labels give and what examples give, measured under labels that are truly those."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import ddcore as dd
from ddcore.errors import SettingsError, TeacherError, UnsupportedError
from ddcore.evaluation import (
    PROTOCOLS,
    Beside,
    FairReport,
    Report,
    Result,
    augmentation_robust_score,
    label_robust_score,
    random_beside,
    selected_beside,
)
from ddcore.evaluation.labels import under_labels
from ddcore.factorization import Compressed
from ddcore.images import LinearBases, LowResolution, Pixels
from ddcore.labels import TeacherLabelling
from ddcore.training import Training
from tests.running import untrained_teacher

SHORT = Training(updates={1: 4}, batch_size=8)


@pytest.fixture(scope="module")
def teacher(few_digits: dd.TargetData) -> dd.Teacher:
    return untrained_teacher(few_digits.spec)


@pytest.fixture(scope="module")
def summary(few_digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(few_digits, dd.Method(factorization=Pixels(ipc=2, storage="uint8", clip=True)))


def report(protocol: str, *values: float, labels: int = 0) -> Report:
    details = {"label_bytes": labels}
    return Report("data", "m", 1, 100 + labels, protocol, (Result("n", {"accuracy": values}, 1.0, 1),), details)


def test_shares_add_up_to_the_whole_gain() -> None:
    rows = (
        Beside("hard", report("hard", 52.0, 54.0), report("hard", 50.0, 48.0)),
        Beside("teacher", report("teacher", 70.0, 74.0, labels=40), report("teacher", 68.0, 66.0)),
    )
    shares = FairReport(rows).shares()
    assert shares["hard"] == {"examples": 4.0, "labels": 0.0}
    assert shares["teacher"] == {"examples": 5.0, "labels": 18.0}
    assert sum(shares["teacher"].values()) == 72.0 - 49.0
    assert rows[0].differences() == (2.0, 6.0)
    half = 12.706204736 * (8**0.5) / 2**0.5  # Student's quantile of one degree, deviation sqrt(8)
    assert rows[0].over_random()["ci95"] == pytest.approx(half, abs=1e-3)
    assert FairReport(rows[1:]).shares() == {}
    assert "examples give +5.00, labels +18.00" in str(FairReport(rows))


def test_both_are_trained_on_labels_of_the_same_kind_for_as_long(
    few_digits: dd.TargetData, summary: dd.DataSummary, teacher: dd.Teacher
) -> None:
    protocols = [replace(PROTOCOLS[name], training=SHORT) for name in ("hard", "fixed-soft", "teacher")]
    named = replace(teacher, architecture="convnet(width=4,norm=batch)")
    found = dd.evaluate_fairly(
        summary, few_digits, teachers=named, protocols=protocols, networks="convnet(width=4)", runs=2
    )
    for row, kind in zip(found.rows, ("hard", "soft", "teacher"), strict=True):
        assert row.ours.details["labels"] == row.random.details["labels"] == kind
        assert row.ours.details["training"] == row.random.details["training"]
        bare = [r.stored_bytes - r.details["label_bytes"] for r in (row.ours, row.random)]
        assert bare == [summary.stored_bytes] * 2
    soft = TeacherLabelling("soft").max_bytes(6, few_digits.spec)
    sizes = [row.ours.details["label_bytes"] for row in found.rows]
    assert sizes == [0, soft, named.nbytes]


def test_stored_views_are_those_of_random_selection_too(
    few_digits: dd.TargetData, summary: dd.DataSummary, teacher: dd.Teacher
) -> None:
    """Batches, views, storage and temperature of the labels are the summary's, for both."""
    views = TeacherLabelling("soft-per-view", (teacher,), temperature=3.0, epochs=2, batch_size=4, storage="8bit")
    protocol = replace(PROTOCOLS["teacher"], training=SHORT)
    found = dd.evaluate_fairly(
        summary.labelled(views), few_digits, teachers=teacher, protocols=[protocol], networks="convnet(width=4)", runs=1
    )
    (row,) = found.rows
    assert row.ours.details["labels"] == row.random.details["labels"] == "soft-per-view"
    assert row.ours.details["training"] == row.random.details["training"]
    assert row.ours.details["training"]["batch_size"] == 4
    assert row.ours.details["label_bytes"] == row.random.details["label_bytes"]
    with pytest.raises(TeacherError, match="a teacher is needed"):
        dd.evaluate_fairly(summary.labelled(views), few_digits, protocols=[protocol], networks="convnet(width=4)")


def test_a_protocol_that_needs_no_teacher_takes_none(
    few_digits: dd.TargetData, summary: dd.DataSummary, teacher: dd.Teacher
) -> None:
    for protocol in ("quick", "hard"):
        with pytest.raises(SettingsError, match="takes no teacher"):
            dd.evaluate(summary, few_digits, protocol=protocol, teachers=teacher, networks="mlp(width=4)")


def test_random_selection_has_as_many_bytes(few_digits: dd.TargetData) -> None:
    bases = dd.distill(few_digits, dd.Method(factorization=LinearBases(ipc=4, bases=8, storage="uint8")))
    beside = random_beside(bases, few_digits)
    more = beside.stored_bytes + beside.stored_bytes // sum(beside.counts.values()) * 3
    assert beside.stored_bytes <= bases.stored_bytes < more
    assert beside.record["method"]["name"] == "random"


def test_a_protocol_keeps_labels_of_its_kind_and_makes_others(
    few_digits: dd.TargetData, summary: dd.DataSummary, teacher: dd.Teacher
) -> None:
    soft = summary.labelled(TeacherLabelling("soft", (teacher,), temperature=2.0))
    views = summary.labelled(TeacherLabelling("soft-per-view", (teacher,), epochs=2))
    assert under_labels(soft, PROTOCOLS["fixed-soft"], ()) is soft
    assert under_labels(views, PROTOCOLS["teacher"], ()) is views
    assert under_labels(views, PROTOCOLS["dc"], ()) is views
    assert under_labels(views, PROTOCOLS["teacher"], (teacher,)) is views
    with pytest.raises(TeacherError, match="labels of another teacher"):
        under_labels(views, PROTOCOLS["teacher"], (untrained_teacher(few_digits.spec, norm="instance"),))
    hard = under_labels(soft, PROTOCOLS["hard"], ())
    assert isinstance(hard, dd.DataSummary)
    assert (hard.labels, hard.recipe.temperature, hard.sha256()) == (None, 1.0, summary.sha256())
    with pytest.raises(TeacherError, match="a teacher is needed"):
        under_labels(soft, PROTOCOLS["teacher"], ())
    with pytest.raises(UnsupportedError, match="their own labels"):
        under_labels(few_digits, PROTOCOLS["teacher"], (teacher,))
    assert under_labels(few_digits, PROTOCOLS["hard"], ()) is few_digits


def test_hard_labels_replace_learned_ones(few_digits: dd.TargetData) -> None:
    learned = dd.distill(few_digits, dd.methods.frepo(ipc=2, preset="cpu"), steps=1, networks="convnet(width=4)")
    assert learned.tensors()[1].ndim == 2
    if learned.recipe.loss != "cross_entropy":
        with pytest.raises(UnsupportedError, match="a recipe for labels of their own"):
            learned.hard()
    one_hot = replace(learned, recipe=dd.Recipe()).hard().tensors()[1]
    assert torch.equal(one_hot.sum(dim=1), torch.ones(6))
    assert one_hot.argmax(dim=1).tolist() == [0, 0, 1, 1, 7, 7]


def test_scores_of_dd_ranking_are_those_of_the_definition() -> None:
    """Nothing gained and nothing lost gives (1 - 1/e) / (e - 1/e); the ends give 0 and 1."""
    nothing = (1 - 1 / math.e) / (math.e - 1 / math.e)
    assert label_robust_score(0.8, 0.8, 0.6, 0.6) == pytest.approx(nothing)
    assert label_robust_score(0.0, 1.0, 1.0, 0.0) == pytest.approx(1.0)
    assert label_robust_score(1.0, 0.0, 0.0, 1.0) == pytest.approx(0.0)
    alpha = 0.25 * (0.7 - 0.6) - 0.75 * (0.9 - 0.5)
    wanted = (math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1))
    assert label_robust_score(0.9, 0.5, 0.7, 0.6, weight=0.25) == pytest.approx(wanted)
    beta = 0.3 * (0.7 - 0.5) + 0.7 * (0.4 - 0.45)
    wanted = (math.exp(beta) - math.exp(-1)) / (math.e - math.exp(-1))
    assert augmentation_robust_score(0.7, 0.5, 0.4, 0.45, weight=0.3) == pytest.approx(wanted)
    with pytest.raises(SettingsError, match="shares in"):
        label_robust_score(90.0, 50.0, 70.0, 60.0)


def test_random_examples_beside_a_compressed_summary_go_through_the_same_codec(few_digits: dd.TargetData) -> None:
    """Noise is hard to compress: as many bytes hold more real images, down to one of each class."""
    codec = Compressed(LowResolution(ipc=3, size=6, init="noise"), levels=4)
    summary = dd.distill(few_digits, dd.Method(factorization=codec), progress=False)
    for rule in ("random", "herding"):
        beside = selected_beside(summary, few_digits, rule)
        assert 0.8 * summary.stored_bytes < beside.stored_bytes <= summary.stored_bytes
        assert len(beside) > len(summary)
        kept = beside.parts[0].factorization
        assert isinstance(kept, Compressed) and kept.decoder() == codec.decoder()
    tight = Compressed(LowResolution(ipc=1, size=6), levels=4, nbytes=60)
    least = dd.distill(few_digits, dd.Method(factorization=tight), progress=False)
    beside = random_beside(least, few_digits, seed=5)
    assert set(beside.counts.values()) == {1} and beside.stored_bytes <= least.stored_bytes <= 60
