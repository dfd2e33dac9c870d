"""Memories of real and distilled images, and replay of labels that are distributions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from avalanche.models import SimpleMLP, as_multitask
from avalanche.training import Naive
from avalanche.training.plugins import ReplayPlugin

import ddcore as dd
from ddapps.continual import DistilledBuffer, DistilledMemory, MixedMemory, SoftReplayPlugin, SummaryBuffer
from ddapps.continual.setting import Setting
from ddapps.continual.streams import benchmark
from ddcore.errors import BudgetError, SettingsError, UnsupportedError
from ddcore.parts import as_architecture
from tests.running import shrunk

QUICK: dict[str, Any] = {"network": "convnet(width=2)", "steps": 1}


def shas(memory: MixedMemory | DistilledMemory) -> list[str]:
    return [kept.summary.sha256() for kept in memory.kept]


def test_a_mixed_memory_is_a_real_and_a_distilled_one_in_their_shares(
    three_tasks: list[dd.TargetData], tmp_path: Any
) -> None:
    mixed = MixedMemory("dm", "8-per-class", real=0.25, **QUICK)
    again = [MixedMemory("dm", "8-per-class", real=0.25, directory=tmp_path, **QUICK) for _ in range(2)]
    alone = [DistilledMemory(name, f"{n}-per-class", **QUICK) for name, n in (("random", 2), ("dm", 6))]
    for memory in (mixed, *again, *alone):
        for task in three_tasks[:2]:
            memory.observe(task)
    assert shas(mixed) == shas(alone[0]) + shas(alone[1]) == shas(again[0]) == shas(again[1])
    assert set(mixed.counts.values()) == {8} and mixed.stored_bytes == 4 * 8 * 65
    assert again[1].seconds_saved > 0 == mixed.seconds_saved
    assert mixed.name == "dm + 25% random" and mixed.experiences == 2
    mixed.resize("4-per-class")
    assert set(mixed.counts.values()) == {4}
    with pytest.raises(BudgetError, match="nothing"):
        mixed.resize("1-per-class")
    assert set(mixed.counts.values()) == {4}


def test_a_mixed_memory_takes_an_experience_whole_or_not_at_all(three_tasks: list[dd.TargetData]) -> None:
    """The real part has room for four classes, the distilled one, asked last, for two."""
    mixed = MixedMemory("idc", 12, real=1 / 3, when_short="error", **QUICK)
    mixed.observe(three_tasks[0])
    before, counts = shas(mixed), dict(mixed.counts)
    assert set(counts.values()) == {6}
    with pytest.raises(BudgetError):
        mixed.observe(three_tasks[1])
    assert (shas(mixed), dict(mixed.counts), mixed.experiences) == (before, counts, 1)
    for part in mixed.parts:
        assert part.experiences == 1 and len(part.kept) == 1
    mixed.parts[0].observe(three_tasks[1])
    assert len(mixed.parts[0].kept) == 2


def test_a_mixed_memory_is_resized_whole_or_not_at_all(three_tasks: list[dd.TargetData]) -> None:
    """Half of it holds two real images of each class, but no item of four distilled ones."""
    mixed = MixedMemory("idc", 16, real=0.5, **QUICK)
    mixed.observe(three_tasks[0])
    before, parts = shas(mixed), [shas(part) for part in mixed.parts]
    with pytest.raises(BudgetError):
        mixed.resize(8)
    assert shas(mixed) == before and [shas(part) for part in mixed.parts] == parts
    assert [part.budget.amount for part in mixed.parts] == [8, 8] and mixed.budget.amount == 16


def test_real_images_do_not_follow_a_recipe_of_others() -> None:
    with pytest.raises(SettingsError, match="how to train"):
        MixedMemory("dd", "4-per-class")
    with pytest.raises(SettingsError, match="share"):
        MixedMemory("dm", "4-per-class", real=1.0)


def strategy_of(tasks: list[dd.TargetData], model: torch.nn.Module, plugin: Any, **settings: Any) -> Naive:
    shared = Setting(tasks[0].spec, dd_budget(), 0, as_architecture("convnet(width=4)"), device="cpu").shared()
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        plugins=[plugin],
        **{**shared, "train_mb_size": 30, **settings},
    )


def dd_budget() -> Any:
    return DistilledMemory("random").budget


def buffer_of(tasks: list[dd.TargetData], method: Any) -> DistilledBuffer:
    spec = tasks[0].spec
    return DistilledBuffer(
        method, "2-per-class", normalisation=spec.normalisation, num_classes=10, mirror=False, device="cpu"
    )


def test_replay_of_class_ids_has_the_gradients_of_avalanches(three_tasks: list[dd.TargetData]) -> None:
    """One batch with all of the experience and all of the memory: their order does not count."""
    tasks = three_tasks[:2]
    stream, after = benchmark(tasks).train_stream, []
    start = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    for kind in ("avalanche", "soft"):
        buffer, model = buffer_of(tasks, "random"), copy.deepcopy(start)
        plugin: Any = SoftReplayPlugin(buffer, batch_size_mem=4)
        if kind == "avalanche":
            plugin = ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer, batch_size=300, batch_size_mem=4)
        buffer.post_adapt(None, stream[0])
        strategy = strategy_of(tasks, model, plugin, train_mb_size=len(stream[1].dataset))
        strategy.train(stream[1])
        after.append([weight.detach().clone() for weight in model.parameters()])
        assert buffer.memory.experiences == 2
    for ours, theirs in zip(*after, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(after[0][0], start[1].weight)


def test_soft_labels_are_what_is_replayed(three_tasks: list[dd.TargetData]) -> None:
    tasks = three_tasks[:2]
    buffer, stream = buffer_of(tasks, shrunk("frepo")), benchmark(tasks).train_stream
    buffer.post_adapt(None, stream[0])
    with pytest.raises(UnsupportedError, match="SoftReplayPlugin"):
        len(buffer.buffer)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    summary, losses = buffer.memory.summary(), []
    inputs, targets = summary.tensors()
    assert targets.ndim == 2 and summary.recipe.loss == "squared_error"
    strategy = strategy_of(tasks, model, SoftReplayPlugin(buffer, batch_size_mem=len(targets)))
    original = strategy.backward

    def backward() -> None:
        with torch.no_grad():
            replayed = 0.5 * (model(inputs) - targets).square().sum()
            own = torch.nn.functional.cross_entropy(strategy.mb_output, strategy.mb_y, reduction="sum")
        losses.append((float(strategy.loss.detach()), float(own + replayed) / (len(strategy.mb_y) + len(targets))))
        original()

    strategy.backward = backward
    strategy.train(stream[1])
    assert losses and all(a == pytest.approx(b, rel=1e-5) for a, b in losses)
    narrow = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))
    with pytest.raises(UnsupportedError, match="one logit for each"):
        strategy_of(tasks, narrow, SoftReplayPlugin(buffer)).train(stream[1])


def test_a_batch_of_a_small_memory_repeats_it_evenly(three_tasks: list[dd.TargetData]) -> None:
    plugin = SoftReplayPlugin(buffer_of(three_tasks, "random"))
    drawn = torch.cat([plugin._draw(4, 6) for _ in range(4)])
    assert torch.bincount(drawn).tolist() == [6] * 4
    model = as_multitask(SimpleMLP(num_classes=10, input_size=64, hidden_size=8), "classifier")
    with pytest.raises(UnsupportedError, match="head per task"):
        strategy_of(three_tasks, model, plugin).train(benchmark(three_tasks[:1], task_labels=True).train_stream[0])


def test_a_mixed_memory_goes_into_avalanches_replay(three_tasks: list[dd.TargetData]) -> None:
    spec = three_tasks[0].spec
    memory = MixedMemory("dm", "4-per-class", device="cpu", **QUICK)
    buffer = SummaryBuffer(memory, normalisation=spec.normalisation, num_classes=10, mirror=False)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    strategy = strategy_of(three_tasks, model, ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer))
    for experience in benchmark(three_tasks[:2]).train_stream:
        strategy.train(experience)
    assert len(memory.kept) == 4 and not memory.learns_labels
    assert sorted(buffer.buffer.targets) == sorted(4 * [c for task in three_tasks[:2] for c in task.spec.classes])
