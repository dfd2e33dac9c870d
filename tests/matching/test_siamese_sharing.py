"""Real and synthetic examples of a class go through one draw of the augmentation.

Classes and steps have draws of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

import ddcore as dd
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import DistributionMatching, FeatureAlignment, GradientMatching
from ddcore.parts import Augmentation, Matching, View
from ddcore.sources import FreshNetworks
from tests.running import started

NETWORK = FreshNetworks(ConvNet(width=4, depth=2))
MATCHINGS: dict[str, Matching] = {
    "distribution": DistributionMatching(),
    "gradient": GradientMatching(distance="mse"),
    "joint gradient": GradientMatching(distance="mse", groups="joint"),
    "feature alignment": FeatureAlignment(discrimination=0.0),
}


def loss(run: dd.Run, matching: Matching) -> float:
    return sum(float(term.loss.detach()) for term in matching.terms(run, matching.start(run)))


@pytest.mark.parametrize("micro_batch", [7, 1000])
@pytest.mark.parametrize("name", MATCHINGS)
def test_synthetic_examples_that_are_the_real_ones_leave_no_loss_under_any_view(
    few_digits: dd.TargetData, name: str, micro_batch: int
) -> None:
    run = started(
        few_digits,
        factorization=Pixels(ipc=40),
        networks=NETWORK,
        augmentation=SiameseAugmentation(("color", "crop", "scale", "rotate", "cutout")),
        micro_batch=micro_batch,
    )
    for step in range(3):
        run.step = step
        assert abs(loss(run, MATCHINGS[name])) < 1e-16


@dataclass(frozen=True)
class Noted(View):
    """Changes nothing and notes which classes it saw."""

    number: int
    seen: dict[int, list[int]]

    def __call__(self, batch: dd.Batch) -> dd.Batch:
        self.seen.setdefault(self.number, []).extend(batch.targets.tolist())
        return batch


@dataclass(frozen=True)
class Noting(Augmentation):
    """Numbers its draws by what the generator says."""

    seen: dict[int, list[int]] = field(default_factory=dict)

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        assert count is None, "a siamese view is one draw for all examples of a class"
        return Noted(int(torch.randint(2**62, (1,), generator=generator)), self.seen)


@pytest.mark.parametrize("name", MATCHINGS)
def test_every_class_and_step_has_a_view_of_its_own(few_digits: dd.TargetData, name: str) -> None:
    augmentation = Noting()
    run = started(few_digits, factorization=Pixels(ipc=2), networks=NETWORK, augmentation=augmentation)
    for step in range(2):
        run.step = step
        loss(run, MATCHINGS[name])
    for classes in augmentation.seen.values():
        assert set(classes) == {classes[0]} and len(classes) >= 40 + 2
    assert sorted(classes[0] for classes in augmentation.seen.values()) == [0, 0, 1, 1, 7, 7]
