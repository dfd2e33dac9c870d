"""Labels by a teacher: what is stored is what it says, and networks are trained on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.errors import (
    BudgetError,
    DistillationWarning,
    SettingsError,
    SummaryFormatError,
    TeacherError,
    UnsupportedError,
)
from ddcore.ground import generator
from ddcore.images import Chain, ConvNet, CutMix, LinearBases, MultiFormation, Pixels, RandomResizedCrop
from ddcore.labels import TeacherLabelling, parse_labelling
from ddcore.parts import Batch, Recipe, taken
from ddcore.training import Training, fit
from tests.running import untrained_teacher

VIEWS = Chain((RandomResizedCrop(scale=(0.5, 1.0)), CutMix(0.5)))
PER_VIEW = TeacherLabelling("soft-per-view", epochs=3, batch_size=4, augmentation=VIEWS, storage="float32")


@pytest.fixture(scope="module")
def teacher(few_digits: dd.TargetData) -> dd.Teacher:
    return untrained_teacher(few_digits.spec)


@pytest.fixture(scope="module")
def plain(few_digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(few_digits, dd.Method(factorization=Pixels(ipc=3)))


def logits_of(teacher: dd.Teacher, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = teacher.module(inputs)
    return logits


def test_a_soft_label_is_the_softened_output_of_the_teachers(plain: dd.DataSummary, teacher: dd.Teacher) -> None:
    second = replace(teacher, module=ConvNet(width=3).build((1, 8, 8), 10, seed=5).module.eval())
    labelling = TeacherLabelling("soft", (teacher, second), temperature=3.0, storage="float32")
    inputs, targets = plain.labelled(labelling).tensors()
    wanted = (logits_of(teacher, inputs) + logits_of(second, inputs)) / 2
    torch.testing.assert_close(targets, (wanted / 3).softmax(dim=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "factorization", [Pixels(ipc=2), MultiFormation(ipc=1, factor=2), LinearBases(ipc=4, bases=8)], ids=lambda f: f.name
)
@pytest.mark.parametrize("kind", ["soft", "soft-per-view", "teacher"])
def test_labels_of_any_factorization_come_back_from_disk(
    few_digits: dd.TargetData, tmp_path: Path, factorization: dd.parts.Factorization, kind: str
) -> None:
    made = dd.Teacher.of(untrained_teacher(few_digits.spec).module, few_digits.spec)
    named = replace(made, architecture="convnet(width=4,norm=batch)")
    labelling = replace(PER_VIEW, kind=kind, teachers=(named,))
    summary = dd.distill(few_digits, dd.Method(factorization=factorization, labels=labelling), seed=3)
    back = dd.DataSummary.load(summary.save(tmp_path / "summary"))
    assert back.labels is not None and summary.labels is not None and back.labels.kind == kind
    assert (back.stored_bytes, back.label_bytes) == (
        summary.stored_bytes,
        labelling.max_bytes(len(summary), summary.spec),
    )
    assert back.stored_bytes - back.label_bytes == summary.labelled(None).stored_bytes
    assert back.sha256() == summary.sha256() != summary.labelled(None).sha256()
    assert back.recipe.temperature == 4.0
    device = torch.device("cpu")
    feeds = [labels.feed(device, torch.float32) for labels in (summary.labels, back.labels)]
    if kind == "soft":
        assert torch.equal(back.tensors()[1], summary.tensors()[1])
        return
    examples = Batch(*summary.tensors())
    (first, second) = feeds
    assert first is not None and second is not None
    if kind == "soft-per-view":
        for epoch in (0, 2):
            for a, b in zip(first.batches(epoch) or (), second.batches(epoch) or (), strict=True):
                assert torch.equal(a[0], b[0])
                assert torch.equal(a[1](taken(examples, a[0])).inputs, b[1](taken(examples, b[0])).inputs)
    assert torch.equal(first.targets(1, 0, examples)[:4], second.targets(1, 0, examples)[:4])


def test_every_view_of_every_epoch_has_the_teachers_label(plain: dd.DataSummary, teacher: dd.Teacher) -> None:
    """An epoch has the labels of its own batches and views, also when epochs come again."""
    summary = plain.labelled(replace(PER_VIEW, teachers=(teacher,)), seed=1)
    assert summary.labels is not None
    feed, examples = summary.labels.feed(torch.device("cpu"), torch.float32), Batch(*summary.tensors())
    assert feed is not None and feed.batch_size == 4
    seen = []
    for epoch in range(4):
        indices = []
        for number, (where, view) in enumerate(feed.batches(epoch) or ()):
            viewed = view(taken(examples, where))
            wanted = (logits_of(teacher, viewed.inputs) / 4).softmax(dim=1)
            torch.testing.assert_close(feed.targets(epoch, number, viewed), wanted, rtol=1e-4, atol=1e-6)
            indices.append(where)
        assert sorted(torch.cat(indices).tolist()) == list(range(9))
        seen.append(torch.cat(indices).tolist())
    assert seen[3] == seen[0] != seen[1]


def test_training_on_labels_follows_their_batches(plain: dd.DataSummary, teacher: dd.Teacher) -> None:
    """``fit`` with a feed equals a loop by hand over its batches, views and labels."""
    summary = plain.labelled(replace(PER_VIEW, teachers=(teacher,)), seed=1)
    assert summary.labels is not None
    examples, training = Batch(*summary.tensors()), Training(epochs=4, batch_size=256, drop_at=1.0)
    ours, theirs = (ConvNet(width=3).build((1, 8, 8), 10, seed=0) for _ in range(2))
    feed = summary.labels.feed(torch.device("cpu"), torch.float32)
    fit(ours, lambda i: taken(examples, i), 9, training, generator=generator(0, "x"), recipe=summary.recipe, feed=feed)
    optimiser = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    theirs.train()
    for epoch in range(4):
        for where, view in feed.batches(epoch) or ():  # type: ignore[union-attr]
            viewed = view(taken(examples, where)).inputs
            wanted = (logits_of(teacher, viewed) / 4).softmax(dim=1)
            loss = 16 * F.cross_entropy(theirs(viewed) / 4, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_temperature_leaves_gradients_their_size() -> None:
    """At a high temperature the gradient is the difference of centred logits, over the classes."""
    logits = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    wanted = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    recipe = Recipe(temperature=1e3)
    (gradient,) = torch.autograd.grad(recipe.losses(logits, (wanted / 1e3).softmax(dim=1)).sum(), logits)
    apart = logits - wanted
    torch.testing.assert_close(gradient, (apart - apart.mean(dim=1, keepdim=True)).detach() / 6, rtol=0.01, atol=1e-3)


def test_a_budget_of_bytes_keeps_as_many_epochs_as_fit(plain: dd.DataSummary, teacher: dd.Teacher) -> None:
    labelling = replace(PER_VIEW, teachers=(teacher,), storage="4bit", epochs=50)
    each = 9 * 10 // 2
    for limit, epochs in ((4 + 3 * each, 3), (4 + 4 * each - 1, 3), (10**6, 50)):
        summary = plain.labelled(replace(labelling, bytes=limit))
        assert summary.label_bytes == 4 + epochs * each <= limit
    with pytest.raises(BudgetError, match=f"{4 + each} are the least"):
        plain.labelled(replace(labelling, bytes=each))


def test_a_budget_of_a_method_holds_examples_and_labels(few_digits: dd.TargetData, teacher: dd.Teacher) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=1, storage="uint8", clip=True), labels=TeacherLabelling("soft", (teacher,))
    )
    item = 3 * (64 + 1 + 2 * 10)
    for nbytes, ipc in ((item, 1), (3 * item - 1, 2), (3 * item, 3)):
        sized = dd.Budget(nbytes).fit(method, few_digits)
        assert (sized.factorization.ipc, dd.Budget.of(sized, few_digits).bytes) == (ipc, ipc * item)  # type: ignore[attr-defined]
    assert dd.distill(few_digits, sized).stored_bytes == 3 * item
    with pytest.raises(BudgetError, match=f"{item} are the least"):
        dd.Budget(item - 1).fit(method, few_digits)


def test_what_cannot_be_labelled_says_so_before_work(few_digits: dd.TargetData, teacher: dd.Teacher) -> None:
    labels = TeacherLabelling("soft")
    method = dd.Method(factorization=Pixels(ipc=2), labels=labels)
    with pytest.raises(TeacherError, match="a teacher is needed"):
        dd.distill(few_digits, method)
    with pytest.raises(BudgetError, match="do not hold labels"):
        dd.distill(few_digits, replace(method, labels=replace(labels, teachers=(teacher,), bytes=3)))
    with pytest.raises(TeacherError, match=r"their shape is \[1, 8, 8\], the run's is \[1, 9, 9\]"):
        replace(labels, teachers=(teacher,)).check(4, replace(few_digits.spec, shape=(1, 9, 9)))
    with pytest.raises(UnsupportedError, match="cannot be stored"):
        dd.distill(few_digits, replace(method, labels=TeacherLabelling("teacher", (teacher,))))
    stepped = replace(dd.distill(few_digits, dd.Method(factorization=Pixels(ipc=2))), recipe=Recipe("squared_error"))
    with pytest.raises(UnsupportedError, match="for its own labels"):
        stepped.labelled(replace(labels, teachers=(teacher,)))
    with pytest.raises(SettingsError, match="do not go together"):
        dd.concat([dd.distill(few_digits, replace(method, labels=replace(labels, teachers=(teacher,))))] * 2)


def test_labels_reach_every_way_of_reading(plain: dd.DataSummary, teacher: dd.Teacher) -> None:
    summary = plain.labelled(TeacherLabelling("soft", (teacher,)))
    wanted = summary.tensors()[1]
    for lazy in (False, True):
        found = torch.stack([summary.as_dataset(lazy=lazy)[i][1] for i in range(len(summary))])  # type: ignore[arg-type]
        assert torch.equal(found, wanted)
    other = plain.labelled(TeacherLabelling("soft", (teacher,), temperature=5.0))
    assert other.sha256() != summary.sha256(), "the temperature is part of what labels are"
    with (
        pytest.raises(UnsupportedError, match="kernel regression is on the targets"),
        pytest.warns(DistillationWarning, match="251 of 359 test examples"),
    ):
        dd.evaluate_kernel(summary, dd.load_data("digits"))


def test_a_recipe_has_the_temperature_of_its_labels(plain: dd.DataSummary, teacher: dd.Teacher, tmp_path: Path) -> None:
    folder = plain.labelled(TeacherLabelling("soft", (teacher,))).save(tmp_path / "summary")
    config = json.loads((folder / "config.json").read_text())
    for temperature, message in ((3.0, "the labels 4"), (1e200, "temperature lies in")):
        config["recipe"]["temperature"] = temperature
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(SummaryFormatError, match=message):
            dd.DataSummary.load(folder)


def test_a_certificate_of_privacy_does_not_outlive_a_teacher(plain: dd.DataSummary, teacher: dd.Teacher) -> None:
    private = replace(plain, record={**plain.record, "privacy": {"epsilon": 1.0}})
    labelled = private.labelled(TeacherLabelling("soft", (teacher,)))
    assert "privacy" not in labelled.record
    assert labelled.record["labelled"]["by"]["teachers"] == [teacher.describe()]


def test_labels_that_no_file_may_hold_are_refused_before_work(few_digits: dd.TargetData, teacher: dd.Teacher) -> None:
    labelling = TeacherLabelling("soft-per-view", (teacher,), epochs=100_000, storage="float32")
    with pytest.raises(BudgetError, match="more than a summary may hold"):
        labelling.check(2000, few_digits.spec)
    with pytest.raises(SettingsError, match="temperature lies in"):
        TeacherLabelling(temperature=2e4)


def test_labels_are_named_in_words() -> None:
    wanted = TeacherLabelling("soft-per-view", epochs=10, storage="4bit")
    assert parse_labelling("soft-per-view(epochs=10,storage=4bit)") == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "pickle"}, "kind 'pickle'"),
        ({"temperature": 0}, "temperature lies in"),
        ({"temperature": True}, "temperature lies in"),
        ({"epochs": 2**40}, "epochs of labels"),
        ({"epochs": 99_999}, "labels must be"),
        ({"batch_size": -1}, "batch_size of labels"),
        ({"seed": "0"}, "seed"),
        ({"top": 2.5}, "whole number"),
        ({"augmentation": {"type": "os.system", "command": "true"}}, "kind of settings"),
        ({"augmentation": {"type": "RandomResizedCrop", "scale": "x"}}, "is of kind"),
        ({"augmentation": {"type": "RandomResizedCrop", "scales": 1}}, "no settings"),
        ({"augmentation": [1]}, "an augmentation belongs"),
        ({"augmentation": {"type": "CutMix", "num_classes": 3}}, "not those of such data"),
        ({"augmentation": {"type": "RandomRoll"}}, "cannot be drawn"),
        ({"augmentation": {"type": "SiameseAugmentation", "families": ["crop"], "crop": 1e308}}, r"\[0, 1000\]"),
        ({"augmentation": {"type": "Chain", "augmentations": [{"type": "NoAugmentation"}] * 65}}, "64 augmentations"),
        ({"made_by": ["../.."]}, "made_by of labels"),
        ({"made_by": "x"}, "made_by of labels"),
        ({"more": 1}, "labels record"),
    ],
)
def test_hostile_descriptions_of_labels_are_refused(
    plain: dd.DataSummary, teacher: dd.Teacher, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = plain.labelled(replace(PER_VIEW, teachers=(teacher,))).save(tmp_path / "summary")
    config = json.loads((folder / "config.json").read_text())
    config["labels"] |= change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match=message):
        dd.DataSummary.load(folder)
    del config["labels"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match="holds labels that"):
        dd.DataSummary.load(folder)
