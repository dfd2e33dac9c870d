from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.models import IncrementalClassifier, SimpleMLP, as_multitask
from avalanche.training import Naive

import ddcore as dd
from ddapps.continual import CompressThenRecall, CompressThenRecallPlugin, DistilledBuffer
from ddapps.continual.setting import Setting
from ddapps.continual.streams import benchmark
from ddcore.errors import UnsupportedError
from ddcore.evaluation import Protocol, TrainingSource, train_one
from ddcore.parts import Redrawn, as_architecture
from ddcore.training import Training
from tests.running import shrunk

SHORT = Protocol("short", Training(epochs=20))


def setting_of(tasks: list[dd.TargetData], buffer: DistilledBuffer) -> Setting:
    return Setting(tasks[0].spec, buffer.memory.budget, 0, as_architecture("convnet(width=4)"), device="cpu")


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


def test_recall_does_not_depend_on_the_weights_of_before(three_tasks: list[dd.TargetData]) -> None:
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


class Scaled(torch.nn.Module):
    """A layer that can be drawn anew, and a bare parameter that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.linspace(0.5, 2, 64))
        self.layer = torch.nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1) * self.scale)


def test_a_bare_parameter_begins_as_it_was_before_the_first_experience(three_tasks: list[dd.TargetData]) -> None:
    """By hand: the weights are those of a new module that is trained on the same summary."""
    buffer = buffer_of(three_tasks)
    strategy = CompressThenRecall(
        model=Scaled(), buffer=buffer, protocol=SHORT, **setting_of(three_tasks, buffer).shared()
    )
    for experience in benchmark(three_tasks[:2]).train_stream:
        strategy.train(experience)
    summary = buffer.memory.summary()
    source = TrainingSource.of(summary, torch.device("cpu"), torch.float32)
    first = {"scale": torch.linspace(0.5, 2, 64)}
    expected = train_one(Redrawn(Scaled(), first), source, SHORT.training, summary.spec, seed=0, run=1)
    for ours, theirs in zip(strategy.model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(strategy.model.scale, first["scale"])


def test_a_bare_parameter_that_grows_cannot_be_trained_anew(three_tasks: list[dd.TargetData]) -> None:
    buffer = buffer_of(three_tasks)
    strategy = CompressThenRecall(
        model=Scaled(), buffer=buffer, protocol=SHORT, **setting_of(three_tasks, buffer).shared()
    )
    stream = benchmark(three_tasks[:2]).train_stream
    strategy.train(stream[0])
    strategy.model.scale = torch.nn.Parameter(torch.ones(1))
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="another shape than at the start"):
            strategy.train(stream[1])
    assert buffer.memory.experiences == 1


@pytest.mark.parametrize("num_classes", [None, 10])
def test_a_head_that_grows_is_recalled_at_its_present_width(
    three_tasks: list[dd.TargetData], num_classes: int | None
) -> None:
    ordered = sorted(three_tasks, key=lambda task: max(task.spec.classes))
    buffer = buffer_of(three_tasks, num_classes=num_classes)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.ReLU(), IncrementalClassifier(8))
    strategy = CompressThenRecall(
        model=model,
        buffer=buffer,
        protocol=Protocol("longer", Training(epochs=100, learning_rate=0.1)),
        **setting_of(three_tasks, buffer).shared(),
    )
    stream = benchmark(ordered)
    for experience, task in zip(stream.train_stream, ordered, strict=True):
        strategy.train(experience)
        assert model[-1].classifier.out_features == 1 + max(task.spec.classes)
    found = strategy.eval(stream.test_stream)
    assert found["Top1_Acc_Stream/eval_phase/test_stream/Task000"] > 0.4


def test_a_model_in_double_precision_stays_so_and_one_of_another_shape_is_refused(
    three_tasks: list[dd.TargetData],
) -> None:
    stream = benchmark(three_tasks[:1]).train_stream
    for sides, refused in ((64, False), (49, True)):
        buffer = buffer_of(three_tasks)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(sides, 10)).double()
        shared = setting_of(three_tasks, buffer).shared()
        strategy = CompressThenRecall(model=model, buffer=buffer, protocol=SHORT, **shared)
        if refused:
            with pytest.raises(UnsupportedError, match="cannot take examples"):
                strategy.train(stream[0])
            assert buffer.memory.experiences == 0
        else:
            strategy.train(stream[0])
            assert model[1].weight.dtype == torch.float64


def test_soft_labels_need_a_logit_for_each_class(three_tasks: list[dd.TargetData]) -> None:
    buffer = buffer_of(three_tasks, shrunk("frepo"), num_classes=10)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 6))
    strategy = CompressThenRecall(
        model=model, buffer=buffer, protocol=SHORT, **setting_of(three_tasks, buffer).shared()
    )
    with pytest.raises(UnsupportedError, match="one logit for each"):
        strategy.train(benchmark(three_tasks[:1]).train_stream[0])


def test_a_head_per_task_is_refused_before_anything_is_distilled(three_tasks: list[dd.TargetData]) -> None:
    buffer = buffer_of(three_tasks)
    model = as_multitask(SimpleMLP(num_classes=10, input_size=64, hidden_size=8), "classifier")
    strategy = CompressThenRecall(model=model, buffer=buffer, **setting_of(three_tasks, buffer).shared())
    with pytest.raises(UnsupportedError, match="ReplayPlugin"):
        strategy.train(benchmark(three_tasks[:1], task_labels=True).train_stream[0])
    assert buffer.memory.experiences == 0
