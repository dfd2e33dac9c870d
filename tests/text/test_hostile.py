"""Stored sentences are a stranger's: what is amiss is an error of ours, and soon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import ddcore as dd
from ddcore.errors import SummaryFormatError
from tests.summary.strangers import Tensors, load_with_changed_bytes, put, rewritten
from tests.text.data import topics
from tests.text.test_distillation import small


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    summary = dd.distill(topics(), small(steps=1), seed=0)
    return summary.save(tmp_path_factory.mktemp("stored") / "kept")


@pytest.fixture(scope="module")
def words(embedded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dd.DataSummary.load(embedded).quantize("words").save(tmp_path_factory.mktemp("stored") / "kept")


TENSORS: list[Callable[[Tensors], Tensors]] = [
    lambda t: put(t, "words", t["part0.words"].int()),
    lambda t: put(t, "words", t["part0.words"] + 1000),
    lambda t: put(t, "words", -t["part0.words"] - 1),
    lambda t: put(t, "words", t["part0.words"][:, :4].clone()),
    lambda t: put(t, "words", t["part0.words"].flatten()),
    lambda t: put(t, "words", t["part0.words"][:0].clone()),
    lambda t: put(t, "classes", t["part0.classes"] + 3),
    lambda t: put(t, "classes", t["part0.classes"][:2].clone()),
    lambda t: put(t, "labels", t["part0.labels"][:, :2].clone()),
    lambda t: put(t, "labels", t["part0.labels"].double()),
    lambda t: {k: v for k, v in t.items() if k != "part0.labels"},
    lambda t: put(t, "more", torch.zeros(1)),
]
CONFIGS: list[Callable[[Any], object]] = [
    lambda c: c["parts"][0].update(labels="hard"),
    lambda c: c["parts"][0].update(storage="fp16"),
    lambda c: c["parts"][0].update(name="embedded_sequences"),
    lambda c: c["spec"].update(shape=[10**9, 8]),
    lambda c: c["spec"].update(shape=[10]),
    lambda c: c["spec"].update(shape=[10, 9]),
    lambda c: c["spec"]["words"].append("more"),
    lambda c: c["spec"]["words"].__setitem__(3, c["spec"]["words"][4]),
    lambda c: c["spec"]["words"].__setitem__(3, "x" * 10_000),
    lambda c: c["spec"]["words"].__setitem__(3, None),
    lambda c: c["spec"]["words"].__setitem__(3, "\x1b[2J"),  # it would clear the terminal of who shows it
    lambda c: c["spec"].update(words="words"),
    lambda c: c["spec"].update(tokenizer="theirs"),
    lambda c: c["spec"].update(mean_length=-1.0),
    lambda c: c["spec"].update(mean_length=True),
    lambda c: c["spec"]["normalisation"].update(words=10**9),  # a billion words
    lambda c: c["spec"]["normalisation"].update(sha256="0" * 64),
    lambda c: c["spec"].update(normalisation={"name": "none"}),
    lambda c: c["spec"].update(extra=1),
]


@pytest.mark.parametrize("number", range(len(TENSORS)))
def test_tensors_that_make_no_sentences_are_refused(number: int, words: Path, tmp_path: Path) -> None:
    tensors = load_file(words / "summary.safetensors")
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(words, tmp_path, TENSORS[number](tensors)))


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_facts_that_make_no_sentences_are_refused(number: int, words: Path, tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(rewritten(words, tmp_path, change=CONFIGS[number]))


VECTORS: list[Callable[[Tensors], Tensors]] = [
    lambda t: {"vectors": t["vectors"] * float("nan")},
    lambda t: {"vectors": t["vectors"].half()},
    lambda t: {"vectors": t["vectors"][:-1].clone()},
    lambda t: {"vectors": t["vectors"] + 1},  # the padding is no longer zero
    lambda t: {**t, "more": torch.zeros(1)},
    lambda t: {},
]


@pytest.mark.parametrize("number", range(len(VECTORS)))
def test_word_vectors_that_are_not_the_recorded_ones_are_refused(number: int, words: Path, tmp_path: Path) -> None:
    rewritten(words, tmp_path)
    path = tmp_path / "normalisation.safetensors"
    save_file(VECTORS[number](load_file(path)), path)
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(tmp_path)


def test_vectors_that_are_not_finite_are_refused(embedded: Path, tmp_path: Path) -> None:
    tensors = load_file(embedded / "summary.safetensors")
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(
            rewritten(embedded, tmp_path, put(tensors, "sequences", tensors["part0.sequences"] * torch.inf))
        )


def test_an_honest_summary_passes_the_same_way(words: Path, embedded: Path, tmp_path: Path) -> None:
    for path in (words, embedded):
        tensors = load_file(path / "summary.safetensors")
        assert len(dd.DataSummary.load(rewritten(path, tmp_path, tensors))) == 3


def test_any_byte_of_the_tensors_may_be_changed(words: Path, embedded: Path, tmp_path: Path) -> None:
    for path in (words, embedded):
        load_with_changed_bytes(path, tmp_path, 25)
