"""Synthetic sentences: vectors, words, labels, families, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ddcore as dd
from ddcore.errors import BudgetError, SettingsError, UnknownNameError
from ddcore.summary import as_text
from ddcore.text import EmbeddedSequences, ProjectedWords, TextCNN, TextSpec
from ddcore.text.factorizations import WordExamples
from tests.factorization.contract import run_on
from tests.text.data import topics

NARROW = TextCNN(width=8)


def small(factorization: object = None, steps: int = 3, ipc: object = 1) -> dd.Method:
    method = dd.methods.sucholutsky(ipc=ipc, preset="cpu").with_steps(steps)  # type: ignore[arg-type]
    method = dd.override(method, "networks.architecture", NARROW)
    method = dd.override(dd.override(method, "matching.inner_steps", 6), "matching.step_sizes.initial", 0.3)
    return method if factorization is None else dd.override(method, "factorization", factorization)


def spec_of(target: dd.TargetData) -> TextSpec:
    assert isinstance(target.spec, TextSpec)
    return target.spec


def test_sentences_learn_and_words_that_were_projected_beat_rounded_ones() -> None:
    target = topics()

    def score(data: dd.DataSummary | dd.TargetData) -> float:
        return dd.evaluate(data, target, networks=[NARROW], runs=2, protocol="quick").results[0].mean

    random = dd.distill(target, dd.methods.build_method("random", ipc=1, target=target), seed=0)
    embedded = dd.distill(target, small(steps=60), seed=0)
    words = dd.distill(target, small(ProjectedWords(ipc=1, labels="soft"), steps=60), seed=0)
    assert score(embedded) > score(random) + 10
    assert score(words) > score(embedded.quantize("words")) + 5


def test_words_that_networks_see_are_real_words_and_what_is_stored(tmp_path: Path) -> None:
    target = topics()
    spec = spec_of(target)
    method = small(ProjectedWords(ipc=2, labels="soft"))
    summary = dd.distill(target, method, seed=0)
    inputs, labels = summary.tensors()
    numbers = summary.parts[0].stored["words"]
    order = summary.parts[0].stored["classes"].long().argsort(stable=True)
    assert torch.equal(inputs, spec.embedding.apply(numbers[order]))
    assert labels.shape == (6, 3)
    assert summary.parts[0].nbytes == method.factorization.max_bytes(spec, target.counts()) == 6 * (10 * 2 + 1 + 3 * 4)
    loaded = dd.DataSummary.load(summary.save(tmp_path / "kept"))
    assert torch.equal(loaded.tensors()[0], inputs) and torch.equal(loaded.tensors()[1], labels)


def test_the_gradient_of_a_word_goes_to_its_vector() -> None:
    target = topics()
    run = run_on(target)
    examples = ProjectedWords(ipc=1, init="noise").start(run)
    assert isinstance(examples, WordExamples)
    weight = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    batch = examples.decode()
    (batch.inputs * weight).sum().backward()
    assert examples.values.grad is not None
    assert torch.equal(examples.values.grad, weight)
    distances = torch.cdist(examples.values.detach().flatten(0, 1), spec_of(target).embedding.vectors)
    distances[:, 1] = torch.inf  # the unknown word is none
    assert torch.equal(batch.inputs.detach().flatten(0, 1), spec_of(target).embedding.vectors[distances.argmin(dim=1)])


def test_words_follow_vectors_that_have_moved() -> None:
    examples = ProjectedWords(ipc=1, init="noise").start(run_on(topics()))
    assert isinstance(examples, WordExamples)
    before = examples.decode().inputs.detach()
    with torch.no_grad():
        examples.values.neg_()
    fresh = ProjectedWords(ipc=1, init="noise").examples(
        examples.values.detach(), torch.tensor([0, 1, 2]), None, topics().spec
    )
    assert torch.equal(examples.decode().inputs, fresh.decode().inputs)
    assert not torch.equal(examples.decode().inputs, before)


def test_vectors_are_pulled_to_their_words() -> None:
    examples = ProjectedWords(ipc=1, init="noise", pull=0.25).start(run_on(topics()))
    assert isinstance(examples, WordExamples)
    words, before = examples.decode().inputs.detach(), examples.values.detach().clone()
    examples.after_step(0)
    assert torch.allclose(examples.values, before + 0.25 * (words - before), atol=1e-6)


def test_padding_stays_padding_where_it_is_masked() -> None:
    target = topics()
    free, masked = (
        dd.distill(target, small(EmbeddedSequences(ipc=1, labels="soft", masked=m)), seed=0).tensors()[0]
        for m in (False, True)
    )
    assert (free != 0).any(dim=2).all()
    real = dd.distill(target, dd.methods.build_method("random", ipc=1, target=target), seed=0).tensors()[0]
    assert torch.equal((masked != 0).any(dim=2), (real != 0).any(dim=2))


@pytest.mark.parametrize(("labels", "asked"), [("soft", [0, 1, 2]), ("hard", [0, 1])])
def test_soft_labels_of_fewer_sentences_than_classes_are_learned_for_all_classes(labels: str, asked: list[int]) -> None:
    """Two sentences for three classes: the loss on real sentences is that of all three."""
    target = topics()
    run = run_on(target)
    method = small(EmbeddedSequences(ipc="total:2", labels=labels))
    run.examples = method.factorization.start(run)
    run.networks = method.networks.start(run)
    assert run.examples.counts == {0: 1, 1: 1}
    groups: list[list[int]] = []
    answer = run.real.gradients

    def noted(network: Any, groups_asked: Any, *arguments: Any) -> Any:
        groups.extend(list(group) for group in groups_asked)
        return answer(network, groups_asked, *arguments)

    run.real.gradients = noted  # type: ignore[method-assign]
    assert method.matching is not None
    (term,) = method.matching.terms(run, method.matching.start(run))
    assert groups == [asked] and term.classes == tuple(asked)
    assert bool(torch.isfinite(term.loss))


def test_totals_above_the_data_are_refused_and_labels_may_start_at_random() -> None:
    target = topics()
    with pytest.raises(BudgetError):
        dd.distill(target, small(EmbeddedSequences(ipc="total:1000")), seed=0)
    start = EmbeddedSequences(ipc=1, labels="soft", label_init="random").start(run_on(target))
    assert len(start.decode().targets.unique()) == 9


@pytest.mark.parametrize(
    ("ipc", "wanted"), [("total:2", {0: 1, 1: 1}), ("total:7", {0: 3, 1: 2, 2: 2}), ("clip:50", {0: 38, 1: 38, 2: 38})]
)
def test_totals_are_shared_out(ipc: str, wanted: dict[int, int]) -> None:
    assert EmbeddedSequences(ipc=ipc).counts_for({0: 38, 1: 38, 2: 38}) == wanted


def test_embedded_sentences_are_kept_with_their_vocabulary_and_read_by_strangers(tmp_path: Path) -> None:
    target = topics()
    summary = dd.distill(target, small(), seed=0)
    loaded = dd.DataSummary.load(summary.save(tmp_path / "kept"))
    assert torch.equal(loaded.tensors()[0], summary.tensors()[0])
    assert spec_of_summary(loaded).words == spec_of(target).words
    assert torch.equal(spec_of_summary(loaded).embedding.vectors, spec_of(target).embedding.vectors)
    again = dd.load_data(target_frame(), like=loaded.spec)
    assert again.spec.identity() == target.spec.identity()
    text = as_text(loaded, per_class=1)
    assert len(text.splitlines()) == 3 and "animals" in text and "~" in text
    words = as_text(loaded.quantize("words"), per_class=1)
    assert "~" not in words
    half = summary.quantize("fp16")
    assert torch.allclose(half.tensors()[0], summary.tensors()[0], atol=1e-2)
    with pytest.raises(UnknownNameError):
        summary.quantize("uint8")


def spec_of_summary(summary: dd.DataSummary) -> TextSpec:
    assert isinstance(summary.spec, TextSpec)
    return summary.spec


def target_frame() -> object:
    from tests.text.data import sentences

    return sentences()


FAMILIES = ("gradient", "distribution", "trajectory", "meta-model", "kernel")


@pytest.mark.parametrize("kind", [EmbeddedSequences(ipc=2), ProjectedWords(ipc=2)], ids=lambda f: f.name)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_matches_sentences(family: str, kind: EmbeddedSequences | ProjectedWords) -> None:
    target = topics()
    soft = replace(kind, labels="soft") if family == "kernel" else kind
    method = dd.methods.compose(family, soft, preset="cpu").suited_to(target.spec)
    method = dd.override(method, "networks.architecture", NARROW)
    if family == "trajectory":
        training = dd.sources.ExpertTraining(epochs=3)
        method = dd.override(
            method, "networks", dd.sources.ExpertSegments(NARROW, count=1, length=1, last_start=1, training=training)
        )
    if family == "kernel":
        method = dd.override(dd.override(method, "networks.size", 2), "networks.batch_size", 6)
    rates = {**method.optimiser.group_learning_rates, kind.items: 1.0}  # so far that other words are nearest
    method = dd.override(method, "optimiser.group_learning_rates", rates)
    before = dd.distill(target, method.with_steps(0), seed=0)
    summary = dd.distill(target, method.with_steps(2), seed=0)
    assert summary.sha256() != before.sha256()
    assert 0 < dd.evaluate(summary, target, networks=[NARROW], runs=1).results[0].mean <= 100


def test_settings_that_words_cannot_have_are_refused() -> None:
    with pytest.raises(SettingsError, match="pull is a share"):
        ProjectedWords(pull=2.0)
    with pytest.raises(UnknownNameError, match="fp16"):
        ProjectedWords(storage="fp16")
    with pytest.raises(SettingsError, match="no linear map"):
        ProjectedWords(transform=True)


def test_the_papers_settings_are_those_of_its_code() -> None:
    """base_options.py, train_distilled_image.py and the README's call for IMDB."""
    method = dd.methods.sucholutsky(ipc=10, preset="paper")
    matching = method.matching
    assert isinstance(matching, dd.matching.UnrolledTraining)
    assert (matching.inner_steps, matching.synthetic_batch, matching.order, matching.momentum) == (5, None, "fixed", 0)
    assert (matching.step_sizes.initial, matching.step_sizes.learned, matching.real_total) == (0.01, "per_step", 1024)
    optimiser = method.optimiser
    assert (optimiser.kind, optimiser.learning_rate, optimiser.betas, optimiser.drop) == (
        "adam",
        0.01,
        (0.5, 0.999),
        0.5,
    )
    assert len(optimiser.drops) == 9 and method.steps == 100 * -(-25_000 // 1024)
    kind = method.factorization
    assert isinstance(kind, EmbeddedSequences)
    assert (kind.ipc, kind.init, kind.labels, kind.label_init) == (10, "noise", "soft", "one_hot")
