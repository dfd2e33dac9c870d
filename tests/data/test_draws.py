"""Batches of real examples are uniform draws: anew for every step, seed, purpose and class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

import ddcore as dd
from ddcore.coresets import RandomSelection
from ddcore.networks import MLP
from ddcore.parts import NoNetworks, View
from tests.frequency import assert_equally_often, numbered, numbers
from tests.running import started

NETWORK = MLP(width=2, depth=1).build((1, 1, 1), 4, seed=0, dtype=torch.float64)


@dataclass(frozen=True)
class Seen(View):
    """Changes nothing and keeps the numbers of what it saw."""

    ids: list[int] = field(default_factory=list)

    def __call__(self, batch: dd.Batch) -> dd.Batch:
        self.ids.extend(numbers(batch.inputs))
        return batch


def by_batch(run: dd.Run, class_id: int, count: int) -> list[int]:
    return numbers(run.real.batch([class_id], count, "real").inputs)


def by_features(run: dd.Run, class_id: int, count: int) -> list[int]:
    view = Seen()
    list(run.real.features(NETWORK, [[class_id]], {class_id: view}, count))
    return view.ids


def by_gradients(run: dd.Run, class_id: int, count: int) -> list[int]:
    view = Seen()
    list(run.real.gradients(NETWORK, [[class_id]], {class_id: view}, count, ["1.weight"]))
    return view.ids


def by_selection(run: dd.Run, class_id: int, count: int) -> list[int]:
    chosen = run.real.select(RandomSelection(), {class_id: count}, run.generator("init"))
    return numbers(chosen[class_id].inputs)


QUESTIONS = [by_batch, by_features, by_gradients, by_selection]


@pytest.mark.parametrize("ask", QUESTIONS)
def test_every_member_of_a_class_is_drawn_equally_often(ask: Callable[[dd.Run, int, int], list[int]]) -> None:
    run, draws = started(numbered(), networks=NoNetworks()), []
    for step in range(400):
        run.step = step
        draws.append(ask(run, 2, 6))
    assert_equally_often(draws, range(2, 120, 4))


@pytest.mark.parametrize("ask", QUESTIONS[:3])
def test_a_draw_is_fixed_by_step_seed_and_class(ask: Callable[[dd.Run, int, int], list[int]]) -> None:
    def members(seed: int, step: int, class_id: int) -> list[int]:
        run = started(numbered(), networks=NoNetworks(), seed=seed)
        run.step = step
        return [number // 4 for number in ask(run, class_id, 6)]

    keys = [(seed, step, class_id) for seed in (0, 1) for step in (0, 1, 2) for class_id in (0, 1)]
    first = [members(*key) for key in keys]
    assert first == [members(*key) for key in keys]
    assert len({tuple(draw) for draw in first}) == len(keys)


def test_purposes_draw_independently_and_all_questions_of_a_step_see_one_draw() -> None:
    run = started(numbered(), networks=NoNetworks())
    assert by_batch(run, 1, 6) == by_features(run, 1, 6) == by_gradients(run, 1, 6)
    other = numbers(run.real.batch([1], 6, "batch-norm").inputs)
    assert by_batch(run, 1, 6) != other


def test_a_batch_holds_its_classes_in_order_with_their_labels_and_pixels() -> None:
    run = started(numbered(), networks=NoNetworks())
    batch = run.real.batch([3, 0], 5, "real")
    assert batch.targets.tolist() == [3] * 5 + [0] * 5
    assert [number % 4 for number in numbers(batch.inputs)] == batch.targets.tolist()


def test_initialisation_reaches_every_member_over_seeds() -> None:
    target, method, draws = numbered(), dd.Method(factorization=dd.images.Pixels(ipc={1: 5})), []
    for seed in range(300):
        inputs, targets = dd.distill(target, method, seed=seed).tensors()
        assert targets.tolist() == [1] * 5
        draws.append(numbers(inputs))
    assert_equally_often(draws, range(1, 120, 4))


def test_an_initialisation_with_all_examples_holds_each_once_under_its_label() -> None:
    inputs, targets = dd.distill(numbered(), dd.Method(factorization=dd.images.Pixels(ipc=30))).tensors()
    assert sorted(numbers(inputs)) == list(range(120))
    assert [number % 4 for number in numbers(inputs)] == targets.tolist()
    assert targets.bincount().tolist() == [30] * 4
