"""Memories of real images: GDumb's, and those in PNG and JPEG files."""

from __future__ import annotations

import io
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ddcore as dd
from ddapps.continual import GreedyMemory, PictureMemory
from ddapps.continual.memory import examples_of
from ddapps.continual.picture_files import KeptFile, decoded, encoded
from ddcore.errors import BudgetError, DistillationWarning, SettingsError, UnknownNameError, UnsupportedError


def test_greedy_sampling_balances_classes_whatever_their_order_and_size(digits: dd.TargetData) -> None:
    each = [(digits.train.targets == c).nonzero().flatten() for c in range(3)]
    memory, sizes = GreedyMemory(12), []
    for counts in ({0: 100}, {1: 5, 2: 2}, {2: 100}, {0: 50, 1: 50}):
        memory.observe(digits.with_train(torch.cat([each[c][-n:] for c, n in counts.items()]), "piece"))
        sizes.append({c: n for (_, c), n in memory.counts.items()})
    # All of the memory is used at once. Two of class 2 came; the largest class made room for both.
    assert sizes[0] == {0: 12}
    # An example of class 1 that came after those of class 2 found its share, 12 / 3, taken.
    assert sizes[1] in ({0: 5, 1: 5, 2: 2}, {0: 6, 1: 4, 2: 2})
    assert sizes[2] == sizes[3] == {0: 4, 1: 4, 2: 4}


def test_greedy_sampling_keeps_real_images_and_no_more_bytes_than_it_may(three_tasks: list[dd.TargetData]) -> None:
    memory, seen = GreedyMemory("1kB", seed=3), set()
    for task in three_tasks:
        memory.observe(task)
        seen |= {tuple(image) for image in task.train.inputs.flatten(1).tolist()}
        assert memory.stored_bytes == 1000 // 65 * 65
    images = (255 * examples_of(memory.summary()).train.inputs).round().flatten(1).int().tolist()
    assert len({tuple(image) for image in images}) == len(images) == 15
    assert all(tuple(image) in seen for image in images)
    counts = sorted(memory.counts.values())
    assert counts == [2, 2, 2, 3, 3, 3]
    memory.resize("400B")
    assert sorted(memory.counts.values()) == [1] * 6
    again = GreedyMemory("1kB", seed=3)
    for task in three_tasks:
        again.observe(task)
    again.resize("400B")
    assert again.summary().sha256() == memory.summary().sha256()
    with pytest.raises(BudgetError, match="one image"):
        GreedyMemory("64B").observe(three_tasks[0])


@given(
    count=st.integers(1, 7),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
    highest=st.integers(9, 30),
)
@settings(max_examples=40, deadline=None)
def test_png_files_lose_nothing(count: int, shape: tuple[int, int, int], seed: int, highest: int) -> None:
    images = torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ddapps.continual.picture_files.HIGHEST", highest)
        file = encoded(images, "png")
        assert torch.equal(decoded(file, count, shape), images)
    with Image.open(io.BytesIO(file)) as picture:
        assert picture.format == "PNG" and picture.height <= max(highest, shape[1])


def test_jpeg_files_lose_more_the_smaller_they_are(digits: dd.TargetData) -> None:
    images = digits.train.inputs[:40]
    sizes, errors = [], []
    for quality in (10, 50, 90):
        file = encoded(images, "jpeg", quality)
        sizes.append(len(file))
        errors.append(float((decoded(file, 40, (1, 8, 8)).float() - images.float()).square().mean()))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True) and errors[2] > 0


def test_as_many_images_as_the_bytes_hold_are_stored(three_tasks: list[dd.TargetData]) -> None:
    """One more of each class would not fit, and a PNG of digits is smaller than their pixels."""
    memory = PictureMemory("1kB-per-class", seed=1)
    memory.observe(three_tasks[0])
    (kept,) = memory.kept
    assert isinstance(kept, KeptFile)
    assert memory.stored_bytes == len(kept.file) + len(kept.summary) <= 2000
    one, other = (count for count in memory.counts.values())
    assert one == other > 1000 // 65
    pixels = three_tasks[0].train.inputs
    for class_id in three_tasks[0].spec.classes:
        found = {tuple(i) for i in pixels[three_tasks[0].train.targets == class_id].flatten(1).tolist()}
        mine = examples_of(kept.summary).train.of_classes([class_id]).inputs
        assert {tuple(i) for i in (255 * mine).round().flatten(1).int().tolist()} <= found
    # What is smaller still cannot be stored: deflate alone takes most of it.
    raw = bytes((255 * examples_of(kept.summary).train.inputs).round().to(torch.uint8).flatten().tolist())
    assert len(kept.file) > 0.5 * len(zlib.compress(raw, 9))


def test_files_become_smaller_as_classes_arrive(three_tasks: list[dd.TargetData]) -> None:
    memory = PictureMemory("2kB", format="jpeg", quality=40)
    first: list[tuple[int, ...]] = []
    for index, task in enumerate(three_tasks):
        memory.observe(task)
        assert memory.stored_bytes <= 2000
        assert len(set(memory.counts.values())) <= 3 and len(memory.counts) == 2 * index + 2
        first.append(tuple(memory.kept[0].summary.counts.values()))
    assert first[0] > first[1] > first[2]
    before = memory.counts
    memory.resize("1800B")
    assert memory.stored_bytes <= 1800 and set(memory.counts) == set(before)
    with pytest.raises(BudgetError, match="takes"):
        memory.resize("100B")
    assert memory.stored_bytes <= 1800
    short = PictureMemory("600B", format="jpeg")
    with pytest.warns(DistillationWarning, match="no room"):  # noqa: PT031
        for task in three_tasks:
            short.observe(task)
    assert short.left_out


def test_what_files_cannot_hold_is_refused(three_tasks: list[dd.TargetData]) -> None:
    with pytest.raises(UnknownNameError, match="format"):
        PictureMemory(format="gif")
    with pytest.raises(SettingsError, match=r"1\.\.95"):
        PictureMemory(format="jpeg", quality=0)
    with pytest.raises(UnsupportedError, match="1 or 3 channels"):
        encoded(torch.zeros(1, 2, 4, 4, dtype=torch.uint8), "png")
    with pytest.raises(BudgetError, match="one image of each takes"):
        PictureMemory("1-per-class").observe(three_tasks[0])
