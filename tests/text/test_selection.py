"""Real sentences that rules choose are stored as the numbers of their words."""

from __future__ import annotations

import pytest
import torch

import ddcore as dd
from ddcore.parts import architecture_label
from ddcore.text import ProjectedWords, TextCNN
from tests.text.data import topics


@pytest.mark.parametrize("name", ["random", "herding", "k_center", "k_means"])
def test_chosen_sentences_are_words(name: str) -> None:
    target = topics()
    method = dd.methods.build_method(name, ipc=2, preset="cpu", target=target)
    assert isinstance(method.factorization, ProjectedWords) and method.factorization.labels == "hard"
    summary = dd.distill(target, method, seed=0)
    assert summary.stored_bytes == 6 * (10 * 2 + 1)
    inputs, labels = summary.tensors()
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    real = target.spec.normalisation.apply(target.train.inputs)
    found = [bool((real == row).all(dim=2).all(dim=1).any()) for row in inputs]
    assert name == "k_means" or all(found)  # words nearest to a mean are no sentence of the data


def test_the_usual_network_of_sentences_is_a_textcnn() -> None:
    target = topics()
    method = dd.methods.build_method("dm", ipc=1, preset="cpu", target=target)
    assert architecture_label(method.networks.architecture) == architecture_label(TextCNN())  # type: ignore[attr-defined]
    assert method.augmentation.modality is None
    with torch.no_grad():
        summary = dd.distill(target, method.with_steps(0))
    assert dd.evaluate(summary, target, runs=1, protocol="quick").results[0].network == "textcnn"
