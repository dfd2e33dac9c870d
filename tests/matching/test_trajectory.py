"""Trajectory matching against its definition; the published approximation; labels; resuming."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import ConvNet, MultiFormation, Pixels
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.matching.trajectory.trajectory_matching import relative_distance
from ddcore.parts import Segments
from ddcore.sources import ExpertBuffer, ExpertSegments, ExpertTraining
from tests.running import parameter_gradient, started

SOURCE = ExpertSegments(
    ConvNet(width=4), length=1, last_start=2, count=2, training=ExpertTraining(epochs=2, batch_size=50)
)
MATCHING = TrajectoryMatching(inner_steps=3, step_sizes=StepSizes(0.05, "shared"), augment=False)


def test_its_gradient_is_that_of_the_relative_distance(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=Pixels(ipc=2, init="noise"), networks=SOURCE)
    found = parameter_gradient(run, MATCHING)
    assert isinstance(run.networks, Segments)
    (network,) = run.networks.current()
    images = run.examples.decode().inputs
    start = {n: w.detach().clone() for n, w in network.module.named_parameters()}
    weights = {n: w.clone().requires_grad_() for n, w in start.items()}
    for _ in range(3):
        loss = F.cross_entropy(functional_call(network.module, weights, (images,)), torch.tensor([0, 0, 1, 1, 7, 7]))
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        weights = {n: w - 0.05 * g for (n, w), g in zip(weights.items(), gradients, strict=True)}
    target = run.networks.target()
    above = sum((w - t).square().sum() for w, t in zip(weights.values(), target, strict=True))
    below = sum((s - t).square().sum() for s, t in zip(start.values(), target, strict=True))
    (wanted,) = torch.autograd.grad(above / below, run.examples.groups()["images"])
    torch.testing.assert_close(found, wanted.flatten(), rtol=1e-8, atol=1e-12)


@pytest.fixture(scope="module")
def five_epochs(few_digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> ExpertBuffer:
    return dd.train_experts(
        few_digits,
        tmp_path_factory.mktemp("experts"),
        network="convnet(width=4)",
        training=ExpertTraining(epochs=5, batch_size=60),
        count=3,
    )


def places(run: dd.Run, buffer: ExpertBuffer, steps: int) -> list[tuple[int, int, int]]:
    """Return which expert, which epoch and which later one a run's segments join, step by step."""
    known = {tuple(row.tolist()): (n, e) for n in range(3) for e, row in enumerate(buffer.rows(n, *range(6)))}
    assert len(known) == 18
    networks, seen = run.networks, []
    assert isinstance(networks, Segments)
    for _ in range(steps):
        first, last = (
            known[tuple(torch.cat([w.detach().flatten() for w in weights]).tolist())]
            for weights in (networks.current()[0].module.parameters(), networks.target())
        )
        assert first[0] == last[0], "a segment joins two experts"
        seen.append((*first, last[1]))
        networks.advance()
    return seen


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_segment_joins_two_epochs_of_one_expert(
    few_digits: dd.TargetData, five_epochs: ExpertBuffer, length: int
) -> None:
    """All starts of the range and all experts that are counted come up, about equally often.

    Every segment has its length.
    """
    source = replace(SOURCE, directory=str(five_epochs.directory), length=length, first_start=1, last_start=3)
    seen = places(started(few_digits, networks=source, precision="fp32"), five_epochs, 120)
    found = Counter(seen)
    assert set(found) == {(n, e, e + length) for n in (0, 1) for e in (1, 2)}
    assert min(found.values()) > 15


def test_a_runs_segments_start_later_as_it_grows(few_digits: dd.TargetData, five_epochs: ExpertBuffer) -> None:
    source = replace(
        SOURCE, directory=str(five_epochs.directory), count=None, early_last_start=1, last_start=5, growth=0.5
    )
    run = started(few_digits, precision="fp32")
    run.steps = 80
    run.networks = source.start(run)
    starts = [epoch for _, epoch, _ in places(run, five_epochs, 80)]
    for step, epoch in enumerate(starts):
        assert epoch < min(5, 1 + step // 10), (step, epoch)
    assert [max(starts[:10]), max(starts[10:30]), max(starts[40:])] == [0, 2, 4]


def test_starts_grow_later() -> None:
    source = ExpertSegments(first_start=2, early_last_start=4, last_start=10, growth=0.5)
    assert [source.last_start_at(step, 100) for step in (0, 24, 25, 49, 50, 99)] == [4, 6, 7, 9, 10, 10]
    assert ExpertSegments(last_start=10).last_start_at(0, 100) == 10
    with pytest.raises(SettingsError, match="early_last_start"):
        ExpertSegments(first_start=2, early_last_start=2, last_start=10)
    with pytest.raises(SettingsError, match=r"\[5, 5\)"):
        ExpertSegments(first_start=5, last_start=5)


def test_training_exactly_as_the_expert_did_leaves_no_distance() -> None:
    weights = [torch.ones(3), torch.zeros(2)]
    start = [torch.zeros(3), torch.zeros(2)]
    assert float(relative_distance(weights, weights, start)) == 0.0
    assert float(relative_distance(start, weights, start)) == 1.0


def method(**matching: object) -> dd.Method:
    return dd.Method(
        factorization=Pixels(ipc=1, labels="soft"),
        matching=replace(MATCHING, step_sizes=StepSizes(0.05, "shared", positive=True), **matching),  # type: ignore[arg-type]
        networks=SOURCE,
        optimiser=dd.Optimiser("adam", learning_rate=0.02),
        steps=4,
    )


def test_assigned_labels_are_the_experts_and_are_not_learned(few_digits: dd.TargetData) -> None:
    labels = dd.distill(few_digits, method(labels="assigned")).tensors()[1]
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(3))
    assert float(labels.min()) > 0
    learned = dd.distill(few_digits, method(labels="own")).tensors()[1]
    assert not torch.equal(learned, F.one_hot(torch.tensor([0, 1, 7]), 10).float())
    once = dd.distill(few_digits, method(labels="assigned_once")).tensors()[1]
    assert float((once.sum(dim=1) - 1).abs().max()) > 1e-5
    with pytest.raises(UnsupportedError, match="fixed labels"):
        dd.distill(few_digits, replace(method(labels="assigned"), factorization=MultiFormation(ipc=1)))


def test_going_on_from_a_summary_keeps_its_labels(few_digits: dd.TargetData) -> None:
    still = replace(method(labels="assigned_once"), optimiser=dd.Optimiser("sgd", learning_rate=1e-20, momentum=0.0))
    first = dd.distill(few_digits, method(labels="assigned_once"))
    torch.testing.assert_close(dd.distill(few_digits, still, start=first).tensors(), first.tensors())


def test_the_learned_step_size_is_the_summarys_learning_rate(few_digits: dd.TargetData) -> None:
    summary = dd.distill(few_digits, method())
    assert summary.recipe.learning_rate is not None and summary.recipe.learning_rate != pytest.approx(0.05, abs=1e-9)
    assert summary.record["experts"]["epochs"] == 2 and summary.record["experts"]["seconds"] > 0


def test_a_killed_run_finds_its_experts_again(few_digits: dd.TargetData, tmp_path: Path) -> None:
    whole = dd.distill(few_digits, method(), seed=3)
    lines = []

    def kill(progress: dd.Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    place = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        dd.distill(few_digits, method(), seed=3, checkpoint=place, checkpoint_seconds=0.0, callbacks=[kill])
    manifest = (tmp_path / "checkpoint.safetensors.experts" / "experts.json").read_text()
    resumed = dd.distill(few_digits, method(), seed=3, checkpoint=place, callbacks=[lambda p: lines.append(p.step)])
    assert lines == [2, 3, 4]
    assert resumed.sha256() == whole.sha256()
    assert (tmp_path / "checkpoint.safetensors.experts" / "experts.json").read_text() == manifest


def test_tesla_is_mtt_with_another_gradient_where_its_source_says_nothing_else() -> None:
    mtt, tesla = (build(ipc=10, preset="cpu") for build in (dd.methods.mtt, dd.methods.tesla))
    assert tesla == replace(mtt, name="tesla", cites=tesla.cites, matching=replace(mtt.matching, gradient="detached"))  # type: ignore[type-var]


def test_inner_batches_may_be_cut_from_all_examples(few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    run = started(few_digits, factorization=Pixels(ipc=2, init="noise"), networks=SOURCE)
    taken: list[list[int]] = []
    decode = run.examples.decode

    def recorded(indices: torch.Tensor, generator: torch.Generator) -> dd.Batch:
        taken.append(indices.tolist())
        return decode(indices, generator)

    monkeypatch.setattr(run.examples, "decode", recorded)
    matching = replace(MATCHING, synthetic_total=4)
    list(matching.terms(run, matching.start(run)))
    assert [len(indices) for indices in taken[:3]] == [4, 2, 4]
    assert sorted(taken[0] + taken[1]) == list(range(6))
    with pytest.raises(SettingsError, match="synthetic_total"):
        replace(MATCHING, synthetic_total=0)
