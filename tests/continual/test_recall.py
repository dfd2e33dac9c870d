from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.models import SimpleMLP, as_multitask
from avalanche.training import Naive

import ddcore as dd
from ddapps.continual import CompressThenRecall, CompressThenRecallPlugin, DistilledBuffer
from ddapps.continual.rows import Setting
from ddapps.continual.streams import benchmark
from ddcore.errors import UnsupportedError
from ddcore.evaluation import Protocol, TrainingSource, train_one
from ddcore.networks import as_architecture
from ddcore.training import Training
from tests.running import shrunk

SHORT = Protocol("short", Training(epochs=20))


def setting_of(tasks: list[dd.TargetData], buffer: DistilledBuffer) -> Setting:
    return Setting(tasks[0].spec, buffer.memory.budget, 0, "convnet(width=4)", "cpu")


def buffer_of(tasks: list[dd.TargetData], method: str | dd.Method = "random", **settings: Any) -> DistilledBuffer:
    spec = tasks[0].spec
    return DistilledBuffer(method, "3-per-class", normalisation=spec.normalisation, mirror=False, **settings)


def recalling(tasks: list[dd.TargetData], buffer: DistilledBuffer, **settings: Any) -> CompressThenRecall:
    shared = setting_of(tasks, buffer)
    return CompressThenRecall(model=shared.model(0), buffer=buffer, protocol=SHORT, **{**shared.shared(), **settings})


@pytest.mark.parametrize("method", ["random", "frepo", "dd"])
def test_the_recalled_model_is_a_fresh_network_trained_by_the_recipe(
    three_tasks: list[dd.TargetData], method: str
) -> None:
    tasks = three_tasks[:2]
    buffer = buffer_of(tasks, method if method == "random" else shrunk(method))
    strategy = recalling(tasks, buffer)
    model = strategy.model
    for experience in benchmark(tasks).train_stream:
        strategy.train(experience)
    summary = buffer.memory.summary()
    expected = train_one(
        as_architecture(model),
        TrainingSource.of(summary, torch.device("cpu"), torch.float32),
        SHORT.training,
        summary.spec,
        seed=0,
        run=1,
    )
    assert strategy.model is model
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    if method == "frepo":
        assert summary.recipe.loss == "squared_error"
    if method == "dd":
        assert summary.recipe.stored_bytes > 0


def test_recall_does_not_depend_on_weights_or_real_data_of_before(three_tasks: list[dd.TargetData]) -> None:
    stream = benchmark(three_tasks[:1]).train_stream
    trained = []
    for scale in (1.0, 50.0):
        strategy = recalling(three_tasks, buffer_of(three_tasks))
        with torch.no_grad():
            for weight in strategy.model.parameters():
                weight.mul_(scale)
        strategy.train(stream[0])
        trained.append([w.clone() for w in strategy.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*trained, strict=True))


def test_the_plugin_makes_any_strategy_recall(three_tasks: list[dd.TargetData]) -> None:
    stream, results = benchmark(three_tasks[:2]), []
    for as_plugin in (False, True):
        buffer = buffer_of(three_tasks)
        shared = setting_of(three_tasks, buffer)
        if as_plugin:
            model = shared.model(0)
            strategy: Any = Naive(
                model=model,
                optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
                train_epochs=7,
                plugins=[CompressThenRecallPlugin(buffer, protocol=SHORT)],
                **shared.shared(),
            )
        else:
            strategy = recalling(three_tasks, buffer)
        for experience in stream.train_stream:
            strategy.train(experience)
        results.append([w.clone() for w in strategy.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_head_per_task_is_refused_before_anything_is_distilled(three_tasks: list[dd.TargetData]) -> None:
    buffer = buffer_of(three_tasks)
    model = as_multitask(SimpleMLP(num_classes=10, input_size=64, hidden_size=8), "classifier")
    strategy = CompressThenRecall(model=model, buffer=buffer, **setting_of(three_tasks, buffer).shared())
    with pytest.raises(UnsupportedError, match="ReplayPlugin"):
        strategy.train(benchmark(three_tasks[:1], task_labels=True).train_stream[0])
    assert buffer.memory.experiences == 0


def test_recipes_merge_by_geometric_means() -> None:
    a, b = (dd.Recipe(learning_rate=rate) for rate in (0.01, 0.04))
    assert dd.Recipe.merged([a, b]).learning_rate == pytest.approx(0.02)
    assert dd.Recipe.merged([a, a]) == a
    steps = [dd.training.Steps((0.1 * k, 0.4), 1, 0.5) for k in (1, 4)]
    merged = dd.Recipe.merged([dd.Recipe(steps=s) for s in steps]).steps
    assert merged is not None
    assert merged.rates == pytest.approx((0.2, 0.4))
    assert (merged.per_class, merged.momentum) == (1, 0.5)


@pytest.mark.parametrize(
    "others",
    [[dd.Recipe("squared_error")], [dd.Recipe(learning_rate=0.1)], [dd.Recipe(steps=dd.training.Steps((0.1,)))], None],
)
def test_recipes_that_differ_in_kind_do_not_merge(others: list[dd.Recipe] | None) -> None:
    with pytest.raises(dd.errors.SettingsError, match="recipe="):
        dd.Recipe.merged([] if others is None else [dd.Recipe(), *others])
