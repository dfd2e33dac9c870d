"""Few classes stand for a larger task: clusters take the place of classes."""

from __future__ import annotations

import torch

import ddcore as dd
from ddcore.choosing.finer import CLASSES, finer


def test_two_classes_become_ten_clusters_of_their_own(digits: dd.TargetData) -> None:
    two = digits.of_classes([0, 1]).with_validation(0.2)
    found = finer(two, seed=1)
    assert len(found.spec.classes) == CLASSES and found.test is None
    assert torch.equal(found.train.inputs, two.train.inputs)
    assert found.validation is not None and two.validation is not None
    for made, given in ((found.train, two.train), (found.validation, two.validation)):
        assert torch.equal(made.targets // 5, given.targets)
    assert min(found.counts().values()) > 0


def test_members_are_nearer_to_their_own_mean_than_to_others_of_their_class(digits: dd.TargetData) -> None:
    found = finer(digits.of_classes([0, 1]))
    pixels = found.train.inputs.flatten(1).float()
    means = torch.stack([pixels[found.train.targets == c].mean(dim=0) for c in range(5)])
    mine = pixels[found.train.targets < 5]
    nearest = torch.cdist(mine, means).argmin(dim=1)
    assert float((nearest == found.train.targets[found.train.targets < 5]).float().mean()) > 0.95


def test_enough_classes_and_numbers_stay_as_they_are(digits: dd.TargetData) -> None:
    assert finer(digits) is digits
    diabetes = dd.load_data("diabetes")
    assert finer(diabetes) is diabetes


def test_a_class_of_few_examples_has_as_many_clusters(digits: dd.TargetData) -> None:
    two = digits.of_classes([0, 1])
    few = two.with_train(torch.cat([(two.train.targets == c).nonzero().flatten()[:3] for c in (0, 1)]), "few")
    found = finer(few)
    assert sorted(found.train.targets.tolist()) == [0, 1, 2, 5, 6, 7]
    assert found.spec.classes == (0, 1, 2, 5, 6, 7) and found.spec.num_classes == 10


def test_examples_of_other_classes_are_left_out(digits: dd.TargetData) -> None:
    """A part of the data has a few classes; its validation split is that of all."""
    whole = digits.with_validation(0.3)
    members = torch.isin(whole.train.targets, torch.tensor([3, 8])).nonzero().flatten()
    found = finer(whole.with_train(members, "part"))
    assert found.validation is not None and whole.validation is not None
    assert len(found.validation) == int(torch.isin(whole.validation.targets, torch.tensor([3, 8])).sum())
    assert set(found.validation.targets.tolist()) == set(range(10))
