from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import ddcore as dd
from ddcore.errors import InputDataError, SettingsError, UnknownNameError


def arrays(n: int = 12, classes: int = 3, shape: tuple[int, ...] = (6, 6)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(n, *shape), dtype=np.uint8)
    return {"x_train": images, "y_train": np.arange(n) % classes, "x_test": images, "y_test": np.arange(n) % classes}


def test_digits_hold_scikit_learns_images_split_80_to_20_by_class(digits: dd.TargetData) -> None:
    assert digits.test is not None
    assert digits.train.inputs.dtype == torch.uint8
    both = torch.cat([digits.train.inputs, digits.test.inputs]).flatten(1)
    original = torch.from_numpy(np.rint(load_digits().images * 255 / 16)).to(torch.uint8).flatten(1)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, original.tolist()))
    share = torch.bincount(digits.test.targets) / torch.bincount(torch.from_numpy(load_digits().target))
    assert float((share - 0.2).abs().max()) < 0.005
    assert not digits.spec.mirror


def test_the_embedded_split_does_not_depend_on_the_seed(digits: dd.TargetData) -> None:
    assert dd.load_data("digits", seed=5).fingerprint() == digits.fingerprint()


def test_a_validation_split_is_carved_from_train_and_leaves_test_alone(digits: dd.TargetData) -> None:
    carved = dd.load_data("digits", validation=0.25, seed=3)
    assert carved.validation is not None and carved.test is not None and digits.test is not None
    assert len(carved.train) + len(carved.validation) == len(digits.train)
    assert torch.equal(carved.test.inputs, digits.test.inputs)
    again = dd.load_data("digits", validation=0.25, seed=4)
    assert again.validation is not None and not torch.equal(again.validation.inputs, carved.validation.inputs)


def test_npz_arrays_mappings_tuples_and_datasets_give_the_same_data(tmp_path: Path) -> None:
    given = arrays()
    np.savez(tmp_path / "mine.npz", **given)
    from_file = dd.load_data(tmp_path / "mine.npz")
    from_mapping = dd.load_data(given, name="mine")
    from_tuple = dd.load_data(tuple(given.values()), name="mine")
    dataset = list(zip(given["x_train"], given["y_train"], strict=True))
    from_dataset = dd.load_data(_Map(dataset), test=_Map(dataset), name="mine")
    prints = {d.fingerprint() for d in (from_file, from_mapping, from_tuple, from_dataset)}
    assert len(prints) == 1
    assert from_file.spec.shape == (1, 6, 6)
    assert from_file.train.inputs.dtype == torch.uint8


class _Map(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, items: list) -> None:  # type: ignore[type-arg]
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):  # type: ignore[no-untyped-def]
        return self.items[index]


def test_colour_images_may_have_channels_last() -> None:
    last = arrays(shape=(6, 5, 3))
    first = {k: (v.transpose(0, 3, 1, 2) if k.startswith("x") else v) for k, v in last.items()}
    a, b = dd.load_data(last), dd.load_data(first)
    assert a.spec.shape == (3, 6, 5)
    assert torch.equal(a.train.inputs, b.train.inputs)


def test_a_folder_per_class_is_read_resized_and_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            side = 10 + i % 2
            Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(InputDataError, match="give size="):
        dd.load_data(tmp_path)
    data = dd.load_data(tmp_path, size=8)
    assert data.spec.class_names == ("cat", "dog") and data.spec.shape == (3, 8, 8)
    assert data.test is not None and data.counts() == {0: 8, 1: 8} and len(data.test) == 4


def test_global_class_ids_survive_a_subset_of_classes(digits: dd.TargetData) -> None:
    subset = digits.of_classes([7, 3])
    assert subset.spec.classes == (3, 7) and subset.spec.num_classes == 10
    assert set(subset.train.targets.tolist()) == {3, 7}
    declared = dd.load_data({"x_train": np.zeros((4, 6, 6), np.uint8), "y_train": [3, 3, 7, 7]}, num_classes=10)
    assert declared.spec.classes == (3, 7) and declared.spec.num_classes == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.arange(5)}, "12 examples need 12"),
        ({"y_train": np.full(12, 0.5)}, "whole numbers"),
        ({"x_train": np.full((12, 6, 6), np.nan)}, "NaN"),
        ({"x_train": np.full((12, 6, 6), 7.0)}, r"lie in \[0, 1\]"),
        ({"x_train": np.zeros((12, 6, 6), np.int64)}, "uint8 or floats"),
        ({"x_train": np.zeros((12, 6))}, "channels x height x width"),
        ({"x_test": np.zeros((12, 5, 5), np.uint8)}, "test examples have shape"),
        ({"y_train": np.arange(12) - 1}, "outside"),
        ({"x_train": np.array([["a"] * 6] * 12)}, "not numeric"),
        ({"x_train": np.zeros((0, 6, 6), np.uint8), "y_train": np.zeros(0, int)}, "empty"),
    ],
)
def test_bad_arrays_are_refused_with_the_reason(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        dd.load_data(arrays() | change)


def test_bad_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="digits"):
        dd.load_data("digit")
    with pytest.raises(InputDataError, match="x_train"):
        dd.load_data({"images": np.zeros(3)})
    with pytest.raises(InputDataError, match="come together"):
        dd.load_data({k: v for k, v in arrays().items() if k != "y_test"})
    (tmp_path / "broken.npz").write_bytes(b"not a zip")
    with pytest.raises(InputDataError, match=r"broken\.npz"):
        dd.load_data(tmp_path / "broken.npz")
    np.savez(tmp_path / "objects.npz", x_train=np.array([{}], dtype=object), y_train=np.zeros(1))
    with pytest.raises(InputDataError, match="array of objects"):
        dd.load_data(tmp_path / "objects.npz")
    with pytest.raises(InputDataError, match="map-style"):
        dd.load_data(42)
    with pytest.raises(UnknownNameError, match="zca"):
        dd.load_data("digits", normalisation="sphere")
    with pytest.raises(SettingsError, match="class names"):
        dd.images.ImageSpec((1, 8, 8), 3, (0, 1), class_names=("a",))
