from __future__ import annotations

import itertools
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch

import ddcore as dd
from ddcore.coresets import RULES, FeatureSpace, Forgetting, Herding, RandomSelection, as_rule
from ddcore.coresets.herding import herd
from ddcore.coresets.k_center import farthest_points
from ddcore.errors import UnknownNameError
from ddcore.parts import CoresetRule, Pool
from ddcore.training import Training, fit
from tests.frequency import assert_equally_often, numbered

SMALL = dd.images.ConvNet(width=8, depth=2)


@pytest.fixture
def pool(few_digits: dd.TargetData) -> Pool:
    return Pool(few_digits.train, few_digits.spec, torch.device("cpu"))


@pytest.mark.parametrize("name", [n for n, rule in RULES.items() if rule.__module__.startswith("ddcore.coresets")])
def test_every_rule_selects_distinct_examples_of_the_right_class_and_repeats_itself(name: str, pool: Pool) -> None:
    rule = Forgetting(architecture=SMALL, epochs=3) if name == "forgetting" else as_rule(name)
    counts = {0: 3, 1: 40, 7: 1}
    chosen = [rule.select(pool, counts, torch.Generator().manual_seed(1)) for _ in range(2)]
    for class_id, count in counts.items():
        indices = chosen[0][class_id]
        assert torch.equal(indices, chosen[1][class_id])
        assert len(set(indices.tolist())) == count
        assert set(pool.split.targets[indices].tolist()) == {class_id}


@dataclass(frozen=True)
class AllTies(Forgetting):
    """Every example was forgotten as often as every other."""

    def count_events(self, pool: Pool, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(pool), dtype=torch.int64)


@pytest.mark.parametrize("rule", [RandomSelection(), AllTies()])
def test_chance_reaches_every_example_of_a_class_equally_often(rule: CoresetRule) -> None:
    target = numbered()
    pool = Pool(target.train, target.spec, torch.device("cpu"))
    random = torch.Generator().manual_seed(0)
    chosen = [rule.select(pool, {0: 4, 3: 7}, random) for _ in range(400)]
    for class_id in (0, 3):
        assert_equally_often([c[class_id].tolist() for c in chosen], range(class_id, 120, 4))


@pytest.mark.parametrize("name", ["herding", "k_center"])
def test_greedy_rules_start_at_the_example_nearest_the_mean_of_the_whole_class(name: str, pool: Pool) -> None:
    chosen = as_rule(name).select(pool, {7: 3, 0: 1}, torch.Generator())
    for class_id in (0, 7):
        places = [i for i, target in enumerate(pool.split.targets.tolist()) if target == class_id]
        pixels = pool.split.inputs[places].flatten(1).double()
        nearest = int((pixels - pixels.mean(dim=0)).square().sum(dim=1).argmin())
        assert int(chosen[class_id][0]) == places[nearest]


def test_herding_equals_an_exhaustive_greedy_search() -> None:
    features = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen: list[int] = []
    for _ in range(5):
        free = [i for i in range(9) if i not in chosen]
        chosen.append(min(free, key=lambda i: float((features.mean(0) - features[[*chosen, i]].mean(0)).norm())))
    assert herd(features, 5).tolist() == chosen


def test_herded_means_approach_the_class_mean_faster_than_random_ones() -> None:
    features = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    herded = float((features[herd(features, 10)].mean(0) - features.mean(0)).norm())
    random = [
        float(
            (
                features[torch.randperm(200, generator=torch.Generator().manual_seed(s))[:10]].mean(0)
                - features.mean(0)
            ).norm()
        )
        for s in range(20)
    ]
    assert herded < min(random)


def test_k_center_stays_within_twice_the_best_possible_radius() -> None:
    features = torch.randn(12, 2, generator=torch.Generator().manual_seed(3))

    def radius(centres: list[int]) -> float:
        return float(torch.cdist(features, features[centres]).min(dim=1).values.max())

    best = min(radius(list(c)) for c in itertools.combinations(range(12), 4))
    assert radius(farthest_points(features, 4).tolist()) <= 2 * best + 1e-6


def test_forgetting_counts_what_a_replay_of_the_training_counts(pool: Pool) -> None:
    rule = Forgetting(architecture=SMALL, epochs=12)
    events = rule.count_events(pool, torch.Generator().manual_seed(0))
    history: list[list[bool]] = [[] for _ in range(len(pool))]

    def record(indices: torch.Tensor, batch: dd.Batch, logits: torch.Tensor) -> None:
        for index, right in zip(indices.tolist(), (logits.argmax(1) == batch.targets).tolist(), strict=True):
            history[index].append(right)

    random = torch.Generator().manual_seed(0)
    network = SMALL.build((1, 8, 8), 10, seed=int(torch.randint(2**62, (1,), generator=random)))
    fit(network, pool.batch, len(pool), Training(epochs=12), generator=random, watch=record)
    by_hand = [sum(a and not b for a, b in pairwise(h)) if any(h) else 12 for h in history]
    assert events.tolist() == by_hand
    assert len(set(by_hand)) > 1
    chosen = rule.select(pool, {0: 5}, torch.Generator().manual_seed(0))[0]
    class_events = events[pool.members(0)]
    assert sorted(events[chosen].tolist()) == class_events.sort().values[-5:].tolist()


def test_distances_may_be_taken_in_the_features_of_a_trained_network(pool: Pool) -> None:
    space = FeatureSpace("network", architecture=SMALL, epochs=2)
    features = space.embed(pool, torch.Generator().manual_seed(0))
    assert features.shape == (120, 8 * 2 * 2) and not features.requires_grad
    chosen = Herding(space).select(pool, {1: 4}, torch.Generator().manual_seed(0))[1]
    assert torch.equal(chosen, pool.members(1)[herd(features[pool.members(1)], 4)])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="herding"):
        as_rule("best")
    with pytest.raises(UnknownNameError, match="inputs"):
        FeatureSpace("latent")
