"""Between matching steps networks train on the examples.

Batches and augmentation are those that their settings say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain

import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.images import Pixels
from ddcore.networks import MLP
from ddcore.parts import Augmentation, NetworkSource, View
from ddcore.sources import FreshNetworks, NetworkPool, TrainedOnReal, TrainedOnSynthetic
from tests.frequency import assert_equally_often, numbered, numbers
from tests.running import started

TINY = MLP(width=2, depth=1)


@dataclass(frozen=True)
class Seen(View):
    """Moves every pixel by the same amount and notes what it saw."""

    batches: list[list[int]]
    count: int | None

    def __call__(self, batch: dd.Batch) -> dd.Batch:
        assert self.count == len(batch.inputs), "every example has a draw of its own"
        self.batches.append(numbers(batch.inputs))
        return replace(batch, inputs=batch.inputs + 1.0)


@dataclass(frozen=True)
class Seeing(Augmentation):
    batches: list[list[int]] = field(default_factory=list, compare=False)

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        return Seen(self.batches, count)


def weights(run: dd.Run) -> list[torch.Tensor]:
    (network,) = run.networks.current()
    return [w.detach().clone() for w in network.module.parameters()]


def differ(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return any(not torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_training_on_real_data_sees_every_example_equally_often_in_batches_under_its_augmentation() -> None:
    seeing = Seeing()
    source = TrainedOnReal(TINY, outer=1000, examples=20, batch_size=8, augmentation=seeing, learning_rate=1e-6)
    run = started(numbered(per_class=10), networks=source, factorization=Pixels(ipc=1))
    for step in range(100):
        run.step = step
        run.networks.advance()
    assert [len(batch) for batch in seeing.batches] == [8, 8, 4] * 100
    updates = [list(chain(*seeing.batches[i : i + 3])) for i in range(0, 300, 3)]
    assert all(sorted(n % 4 for n in update) == sorted([0, 1, 2, 3] * 5) for update in updates)
    assert_equally_often(updates, range(40))


@pytest.mark.parametrize("augment", [False, True])
def test_training_on_the_synthetic_set_passes_over_it_in_batches_and_augments_where_it_says_so(augment: bool) -> None:
    seeing = Seeing()
    source = TrainedOnSynthetic(TINY, outer=3, inner=4, batch_size=6, augment=augment)
    run = started(numbered(per_class=5), networks=source, factorization=Pixels(ipc=4), augmentation=seeing)
    everything = numbers(run.examples.decode().inputs.detach())
    before = weights(run)
    run.networks.advance()
    assert differ(before, weights(run))
    assert [len(batch) for batch in seeing.batches] == ([6, 6, 4] * 4 if augment else [])
    for epoch in range(4 * augment):
        assert sorted(chain(*seeing.batches[3 * epoch : 3 * epoch + 3])) == sorted(everything)


def test_an_update_of_the_pool_is_one_step_of_adam_on_the_squared_error_of_its_batch(few_digits: dd.TargetData) -> None:
    source = NetworkPool(MLP(width=4, depth=1), size=1, max_age=9, learning_rate=0.01, batch_size=4)
    run = started(few_digits, factorization=Pixels(ipc=3), networks=source)
    (network,) = run.networks.current()
    twin = MLP(width=4, depth=1).build((1, 8, 8), 10, seed=0, dtype=torch.float64)
    twin.load_state_dict(network.state_dict())
    optimiser = torch.optim.Adam(twin.parameters(), lr=0.01)
    examples = run.examples.decode().detach()
    for step in range(3):
        run.step = step
        # The batch is drawn anew for every step, from all examples.
        chosen = torch.randperm(9, generator=run.generator("pool-training"))[:4]
        wanted = F.one_hot(examples.targets[chosen], 10).double()
        optimiser.zero_grad()
        (0.5 * (twin(examples.inputs[chosen]) - wanted).square().sum(dim=1)).mean().backward()
        optimiser.step()
        run.networks.advance()
    for mine, theirs in zip(twin.parameters(), weights(run), strict=True):
        torch.testing.assert_close(mine.detach(), theirs)


@pytest.mark.parametrize(
    "source", [FreshNetworks(TINY, count=3), NetworkPool(TINY, size=3, max_age=1), TrainedOnSynthetic(TINY, outer=1)]
)
def test_every_network_of_a_run_is_drawn_anew(few_digits: dd.TargetData, source: NetworkSource) -> None:
    drawn = set()
    for seed in (0, 1):
        run = started(few_digits, networks=source, seed=seed)
        for step in range(5):
            run.step = step
            for network in run.networks.current():
                drawn.add(tuple(torch.cat([w.detach().flatten() for w in network.module.parameters()]).tolist()))
            run.networks.advance()
    assert len(drawn) == 2 * 5 * source.at_a_time()
