"""Logits come back from few bytes: exactly, or as near as their levels are."""

from __future__ import annotations

import pytest
import torch

from ddcore.errors import SettingsError, SummaryFormatError, UnknownNameError
from ddcore.labels import BITS, LogitStorage

ROWS, CLASSES = 7, 12


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(0))


def gaps(logits: torch.Tensor) -> torch.Tensor:
    return logits.max(dim=1, keepdim=True).values - logits


@pytest.mark.parametrize("storage", BITS)
def test_gaps_come_back_within_half_a_level(logits: torch.Tensor, storage: str) -> None:
    kept = LogitStorage(storage)
    stored = kept.pack(logits)
    assert sum(t.numel() * t.element_size() for t in stored.values()) == kept.nbytes(ROWS, CLASSES)
    back, largest = gaps(kept.unpack(stored, ROWS, CLASSES)), float(gaps(logits).max())
    bounds = {"float32": 1e-6, "fp16": largest * 2**-11}
    bound = bounds.get(storage, largest / (2 ** BITS[storage] - 1) / 2 * 1.0001)
    assert float((back - gaps(logits)).abs().max()) <= bound
    assert not bool((back == gaps(logits)).all()) or storage == "float32"


@pytest.mark.parametrize("storage", ["float32", "8bit"])
def test_the_top_keeps_its_places_and_the_others_their_mass(logits: torch.Tensor, storage: str) -> None:
    kept = LogitStorage(storage, top=4)
    stored = kept.pack(logits)
    assert sum(t.numel() * t.element_size() for t in stored.values()) == kept.nbytes(ROWS, CLASSES)
    found, true = kept.unpack(stored, ROWS, CLASSES).softmax(dim=1), logits.softmax(dim=1)
    places = true.topk(4, dim=1).indices
    exact = storage == "float32"
    assert torch.allclose(found.gather(1, places), true.gather(1, places), atol=1e-6 if exact else 0.02)
    others = torch.ones_like(true, dtype=torch.bool).scatter(1, places, False)
    rest = found[others].view(ROWS, -1)
    assert torch.equal(rest, rest[:, :1].expand_as(rest))
    assert torch.allclose(rest.sum(dim=1), true[others].view(ROWS, -1).sum(dim=1), atol=1e-6 if exact else 0.02)


def test_a_top_that_leaves_one_class_keeps_all(logits: torch.Tensor) -> None:
    assert set(LogitStorage("fp16", top=CLASSES - 1).pack(logits)) == {"gaps"}


def test_bytes_are_a_fortieth_at_two_bits_and_a_few_of_the_classes() -> None:
    rows, classes = 1000, 1000
    whole = LogitStorage("float32").nbytes(rows, classes)
    assert whole == 4 * rows * classes
    assert whole / LogitStorage("4bit", top=10).nbytes(rows, classes) > 80


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("span"), "labels of storage 4bit are"),
        (lambda s: s.update(span=torch.tensor([1.0, 2.0])), "span of labels"),
        (lambda s: s.update(span=torch.tensor([-1.0])), "negative"),
        (lambda s: s.update(gaps=s["gaps"][:-1]), "labels must be"),
        (lambda s: s.update(gaps=s["gaps"].float()), "labels must be"),
        (lambda s: s.update(places=s["places"][:, :2]), "places of labels must be"),
        (lambda s: s.update(places=s["places"].flip(1)), "must ascend"),
        (lambda s: s.update(places=s["places"] + 9), "must ascend within 0..11"),
    ],
)
def test_hostile_labels_are_refused(logits: torch.Tensor, change: object, message: str) -> None:
    kept = LogitStorage("4bit", top=4)
    stored = kept.pack(logits)
    change(stored)  # type: ignore[operator]
    with pytest.raises(SummaryFormatError, match=message):
        kept.unpack(stored, ROWS, CLASSES)


def test_unknown_storage_and_bad_top_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="storage of labels"):
        LogitStorage("3bit")
    with pytest.raises(SettingsError, match="top must be above 0"):
        LogitStorage(top=0)
