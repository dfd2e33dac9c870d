"""What a review found: ways around a budget, or around what is declared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opacus.accountants import RDPAccountant
from torch.utils.data import Dataset

import ddcore as dd
from ddapps.privacy import (
    NO_LEDGER,
    PUBLIC_NORMALISATION,
    Ledger,
    ledger_of,
    privatize,
    public_subspace,
    release_counts,
)
from ddapps.privacy.baselines import PrivateTraining, dp_sgd
from ddapps.privacy.plan import UNREMEMBERED
from ddcore.errors import BudgetError, SettingsError


def test_a_signal_of_more_questions_than_were_planned_is_stopped(private_digits: dd.TargetData) -> None:
    """Kept answers say that they are not exhausted; what was planned counts."""
    private = public_subspace(
        private_digits, epsilon=5.0, delta=1e-3, accountant="rdp", ipc=1, networks=3, rank=8, width=4, steps=6
    )
    with pytest.raises(BudgetError, match="all 2 answers of this run are given"):
        replace(private, questions=2).distill(private_digits)
    (run,) = json.loads(ledger_of(private_digits).read_text())["runs"]
    assert run["queries"][0][2] == 2


def test_a_ledger_takes_no_charge_that_was_not_planned() -> None:
    book = Ledger(None, "data", 5.0, 1e-3, "rdp")
    book.open_run("words", (3.0, 0.1), 2)
    book.charge()
    book.charge()
    with pytest.raises(BudgetError, match="all 2 answers that were planned are paid"):
        book.charge()
    assert book.history() == [(3.0, 0.1, 2)]


def test_a_refused_overwrite_leaves_the_result_as_it_was(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    private = privatize(small_psg, epsilon=5.0, delta=1e-3, accountant="rdp")
    made = private.distill(private_digits, out=tmp_path / "out")
    with pytest.raises(BudgetError, match="would bring the dataset's total"):
        private.distill(private_digits, out=tmp_path / "out", overwrite=True)
    assert private.distill(private_digits, out=tmp_path / "out").sha256() == made.sha256()


def test_class_sizes_are_not_bought_with_noise_that_cannot_be_drawn(private_digits: dd.TargetData) -> None:
    accountant = RDPAccountant()
    for noise in (0.0, 1e7, float("nan")):
        with pytest.raises(SettingsError, match="noise_multiplier must lie in"):
            release_counts(private_digits, noise, accountant)
    assert accountant.history == []


def test_a_trained_networks_certificate_says_that_no_ledger_was_kept(private_digits: dd.TargetData) -> None:
    training = PrivateTraining(steps=2, sample_rate=0.1)
    budget = {"epsilon": 5.0, "delta": 1e-3, "accountant": "rdp", "network": "convnet(width=4)", "training": training}
    _, certificate = dp_sgd(private_digits, ledger=NO_LEDGER, **budget)  # type: ignore[arg-type]
    assert UNREMEMBERED in certificate.assumed_public
    _, certificate = dp_sgd(private_digits, **budget)  # type: ignore[arg-type]
    assert UNREMEMBERED not in certificate.assumed_public


def test_the_number_of_classes_is_declared_beside_their_ids() -> None:
    """A label among the test examples would set it."""
    data = {"x_train": np.zeros((6, 8, 8), np.uint8), "y_train": np.arange(6) % 2}
    data |= {"x_test": np.zeros((1, 8, 8), np.uint8), "y_test": np.array([7])}
    target = dd.load_data(data, normalisation=PUBLIC_NORMALISATION, classes=(0, 1))
    assert (target.spec.num_classes, target.spec.read_from_examples) == (8, ("classes",))


class Named(Dataset[tuple[torch.Tensor, int]]):
    classes = ("ann", "bob")

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 8, 8), index / 10), index % 2


def test_names_that_a_dataset_found_are_not_declared() -> None:
    words = {"normalisation": PUBLIC_NORMALISATION, "shape": (1, 8, 8), "split_by": "content"}
    assert "class_names" in dd.load_data(Named(), **words).spec.read_from_examples
    assert dd.load_data(Named(), class_names=("a", "b"), **words).spec.read_from_examples == ()
