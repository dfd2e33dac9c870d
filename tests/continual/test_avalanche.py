"""Avalanche's own streams, plugins, loggers and checkpoints take the memory as one of theirs."""

from __future__ import annotations

import io
from typing import Any

import dill
import pytest
import torch
from avalanche.benchmarks import (
    class_incremental_benchmark,
    nc_benchmark,
    ni_benchmark,
    split_online_stream,
    task_incremental_benchmark,
)
from avalanche.benchmarks.utils import TransformGroups, as_classification_dataset
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import TextLogger
from avalanche.models import SimpleMLP, as_multitask
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from torch.utils.data import TensorDataset
from torchvision.transforms import Compose, Normalize

import ddcore as dd
from ddapps.continual import DistilledBuffer, SampleCondensationBuffer, SummaryBuffer
from ddapps.continual.experiences import Reader
from ddcore.errors import InputDataError
from ddcore.images import Standardise
from ddcore.parts import Identity

NORMALISE = Normalize((0.3,), (0.4,))
QUICK: dict[str, Any] = {"network": "convnet(width=4)", "steps": 2, "mirror": False}


def images(split: dd.data.Split) -> TensorDataset:
    """A torch dataset with targets; torchvision's are like it."""
    dataset = TensorDataset(Identity().apply(split.inputs), split.targets)
    dataset.targets = split.targets.tolist()
    return dataset


def stream_of(digits: dd.TargetData, classes: int = 4, transform: Any = NORMALISE) -> Any:
    groups = TransformGroups({"train": transform, "eval": transform})
    part = digits.of_classes(range(classes))
    assert part.test is not None
    sets = {
        name: as_classification_dataset(images(s), groups) for name, s in (("train", part.train), ("test", part.test))
    }
    return class_incremental_benchmark(sets, num_experiences=2, class_order=list(range(classes)))


def strategy_with(
    buffer: SummaryBuffer, model: torch.nn.Module | None = None, logger: Any = None, **settings: Any
) -> Naive:
    model = model or dd.images.ConvNet(width=4).module((1, 8, 8), 10)
    evaluator = EvaluationPlugin(accuracy_metrics(stream=True), loggers=[logger or TextLogger(io.StringIO())])
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        train_mb_size=16,
        eval_mb_size=64,
        evaluator=evaluator,
        plugins=[ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer, **settings)],
    )


def test_replay_trains_on_batches_of_both(digits: dd.TargetData) -> None:
    benchmark, buffer, seen = stream_of(digits), DistilledBuffer("dm", 8, **QUICK), []
    log = io.StringIO()
    strategy = strategy_with(buffer, logger=TextLogger(log))
    forward = strategy.forward
    strategy.forward = lambda: seen.append(sorted(set(strategy.mb_y.tolist()))) or forward()
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert seen[0] == [0, 1]
    assert seen[-1] == [0, 1, 2, 3]
    found = strategy.eval(benchmark.test_stream)["Top1_Acc_Stream/eval_phase/test_stream"]
    test = digits.of_classes(range(4)).test
    assert test is not None
    with torch.no_grad():
        logits = strategy.model(Standardise((0.3,), (0.4,)).apply(test.inputs))
    assert found == pytest.approx(float((logits.argmax(dim=1) == test.targets).double().mean()), abs=1e-6)
    assert f"Top1_Acc_Stream/eval_phase/test_stream = {found:.4f}" in log.getvalue()


def test_items_are_what_the_model_takes_and_are_not_normalised_again(digits: dd.TargetData) -> None:
    benchmark = stream_of(digits)
    buffer = DistilledBuffer("random", 300, **QUICK)
    buffer.post_adapt(strategy_with(buffer), benchmark.train_stream[0])
    dataset = benchmark.train_stream[0].dataset
    for group in (buffer.buffer.train(), buffer.buffer.eval()):
        inputs = torch.stack([group[i][0] for i in range(len(group))])
        distances = torch.cdist(inputs.flatten(1), torch.stack([dataset[i][0] for i in range(len(dataset))]).flatten(1))
        # What is stored in a byte per pixel is off by half a level at most: 1/510/.4 for each of
        # 64 pixels.
        assert float(distances.min(dim=1).values.max()) < 64**0.5 / 510 / 0.4 + 1e-5
    assert buffer.memory.kept[0].summary.spec.normalisation.same_as(Standardise((0.3,), (0.4,)))
    assert buffer.memory.kept[0].summary.spec.num_classes == 10


@pytest.mark.parametrize("task_labels", [False, True])
def test_streams_of_the_classic_benchmarks_keep_their_task_labels(digits: dd.TargetData, task_labels: bool) -> None:
    part = digits.of_classes(range(4))
    assert part.test is not None
    benchmark = nc_benchmark(
        images(part.train),
        images(part.test),
        n_experiences=2,
        task_labels=task_labels,
        fixed_class_order=[0, 1, 2, 3],
        class_ids_from_zero_in_each_exp=task_labels,
        train_transform=NORMALISE,
        eval_transform=NORMALISE,
    )
    buffer = DistilledBuffer("dm", "3-per-class", **QUICK)
    model = SimpleMLP(num_classes=10, input_size=64, hidden_size=16)
    strategy = strategy_with(
        buffer, as_multitask(model, "classifier") if task_labels else model, task_balanced_dataloader=task_labels
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    expected = [(0, 0), (0, 1), (1, 0), (1, 1)] if task_labels else [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert buffer.memory.counts == dict.fromkeys(expected, 3)
    labels = list(zip(buffer.buffer.targets_task_labels, buffer.buffer.targets, strict=True))
    assert sorted(set(labels)) == expected
    assert [(t, y) for _, y, t in (buffer.buffer[i] for i in range(12))] == labels
    strategy.eval(benchmark.test_stream)


def test_task_incremental_streams_of_the_newer_kind(digits: dd.TargetData) -> None:
    benchmark = task_incremental_benchmark(stream_of(digits))
    buffer = DistilledBuffer("random", 8, **QUICK)
    for experience in benchmark.train_stream:
        buffer.post_adapt(None, experience)
    assert buffer.memory.counts == {(0, 0): 2, (0, 1): 2, (1, 2): 2, (1, 3): 2}


def test_domain_incremental_streams_share_each_class(digits: dd.TargetData) -> None:
    part = digits.of_classes([0, 1])
    assert part.test is not None
    benchmark = ni_benchmark(
        images(part.train),
        images(part.test),
        n_experiences=3,
        balance_experiences=True,
        train_transform=NORMALISE,
        eval_transform=NORMALISE,
    )
    buffer = DistilledBuffer("dm", "6-per-class", **QUICK)
    strategy = strategy_with(buffer)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert [list(kept.summary.counts.values()) for kept in buffer.memory.kept] == [[2, 2]] * 3
    assert len(buffer.buffer) == 12


def test_online_streams_fill_a_memory_of_condensed_samples(digits: dd.TargetData) -> None:
    buffer = SampleCondensationBuffer(6, steps=2, inner=1, mirror=False)
    strategy = strategy_with(buffer)
    for experience in split_online_stream(stream_of(digits).train_stream, experience_size=40, seed=0):
        strategy.train(experience)
        assert buffer.stored_bytes <= 6 * 65
    assert buffer.memory.counts == {(0, 0): 2, (0, 1): 2, (0, 2): 1, (0, 3): 1}


def test_a_strategys_plugins_survive_dill(digits: dd.TargetData) -> None:
    benchmark, buffer = stream_of(digits), DistilledBuffer("dm", 8, **QUICK)
    strategy = strategy_with(buffer)
    strategy.train(benchmark.train_stream[0])
    again = dill.loads(dill.dumps(strategy.plugins[0]))
    assert torch.equal(again.storage_policy.memory.summary().tensors()[0], buffer.memory.summary().tensors()[0])
    for one in (buffer, again.storage_policy):
        one.post_adapt(strategy, benchmark.train_stream[1])
    assert [k.summary.sha256() for k in again.storage_policy.memory.kept] == [
        k.summary.sha256() for k in buffer.memory.kept
    ]


def test_a_buffer_leaves_the_scripts_random_numbers_and_model_alone(digits: dd.TargetData) -> None:
    benchmark, buffer = stream_of(digits), DistilledBuffer("dm", 8, **QUICK)
    model = torch.nn.Sequential(
        torch.nn.BatchNorm2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10), torch.nn.Dropout()
    )
    model[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    buffer.post_adapt(strategy_with(buffer, model), benchmark.train_stream[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in model] == [False, True, True, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "buffer", [SampleCondensationBuffer(4, steps=1, inner=1), DistilledBuffer("random", 4, joint=True)]
)
def test_a_label_space_never_shrinks(digits: dd.TargetData, buffer: SummaryBuffer) -> None:
    part = digits.of_classes(range(4))
    sets = {"train": as_classification_dataset(images(part.train), TransformGroups({"train": None, "eval": None}))}
    for experience in class_incremental_benchmark(sets, num_experiences=2, class_order=[3, 2, 1, 0]).train_stream:
        buffer.post_adapt(None, experience)
    assert buffer.memory.summary().spec.num_classes == 4
    assert set(buffer.memory.counts) == {(0, c) for c in range(4)}


def test_resizing_changes_the_amount_in_its_own_unit(digits: dd.TargetData) -> None:
    buffer = DistilledBuffer("random", "4-per-class", **QUICK)
    buffer.post_adapt(None, stream_of(digits).train_stream[0])
    buffer.resize(None, 2)
    assert (buffer.max_size, len(buffer.buffer)) == (2, 4)


class TestNormalisation:
    """What the transforms apply is found, and what would be applied twice is refused."""

    def read(self, digits: dd.TargetData, transform: Any, **settings: Any) -> dd.TargetData:
        ((_, data),) = Reader(**settings).read(stream_of(digits, transform=transform).train_stream[0])
        return data

    @pytest.mark.parametrize(
        "transform",
        [
            NORMALISE,
            Compose([torch.nn.Identity(), NORMALISE]),
            torch.nn.Sequential(NORMALISE),
            Normalize(0.3, torch.tensor(0.4)),
        ],
    )
    def test_the_one_in_the_transforms_is_found(self, digits: dd.TargetData, transform: Any) -> None:
        data = self.read(digits, transform)
        assert data.spec.normalisation.same_as(Standardise((0.3,), (0.4,)))
        torch.testing.assert_close(
            data.train.inputs[:3], digits.of_classes([0, 1]).train.inputs[data_order(digits)][:3]
        )

    def test_pixels_stay_pixels_without_one(self, digits: dd.TargetData) -> None:
        assert self.read(digits, None).spec.normalisation.name == "none"

    def test_two_in_a_row_are_refused(self, digits: dd.TargetData) -> None:
        with pytest.raises(InputDataError, match="normalise 2 times"):
            self.read(digits, Compose([NORMALISE, NORMALISE]))

    def test_one_that_cannot_be_seen_must_be_named(self, digits: dd.TargetData) -> None:
        def hidden(image: torch.Tensor) -> torch.Tensor:
            return (image - 0.3) / 0.4

        with pytest.raises(InputDataError, match="normalisation="):
            self.read(digits, hidden)
        named = self.read(digits, hidden, normalisation=Standardise((0.3,), (0.4,)))
        torch.testing.assert_close(named.train.inputs, self.read(digits, NORMALISE).train.inputs)

    def test_another_one_than_the_transforms_is_refused(self, digits: dd.TargetData) -> None:
        with pytest.raises(InputDataError, match="make them equal"):
            self.read(digits, NORMALISE, normalisation=Standardise((0.5,), (0.5,)))

    def test_images_that_were_normalised_before_are_refused(self, digits: dd.TargetData) -> None:
        def twice(image: torch.Tensor) -> torch.Tensor:
            return NORMALISE(NORMALISE(image))

        with pytest.raises(InputDataError, match="normalised twice"):
            self.read(digits, twice, normalisation=Standardise((0.3,), (0.4,)))

    def test_training_and_evaluation_must_agree(self, digits: dd.TargetData) -> None:
        part = digits.of_classes([0, 1])
        groups = TransformGroups({"train": NORMALISE, "eval": torch.nn.Identity()})
        benchmark = class_incremental_benchmark(
            {"train": as_classification_dataset(images(part.train), groups)}, num_experiences=1
        )
        with pytest.raises(InputDataError, match="different ways"):
            Reader().read(benchmark.train_stream[0])

    def test_what_is_no_image_is_refused(self, digits: dd.TargetData) -> None:
        with pytest.raises(InputDataError, match="ToTensor"):
            self.read(digits, torch.nn.Flatten(0))


def data_order(digits: dd.TargetData) -> torch.Tensor:
    """Avalanche puts the classes of an experience one after the other, the last one first."""
    targets = digits.of_classes([0, 1]).train.targets
    return torch.cat([(targets == c).nonzero().flatten() for c in (1, 0)])
