"""What a new user gives by mistake, or by custom, is taken or refused in words."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

import ddcore as dd
from ddcore.errors import DistillationWarning, InputDataError, UnknownNameError

PIXELS = np.random.default_rng(1).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(12) % 3


class Named(TensorDataset):
    """A Dataset whose labels are names."""

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        image, label = super().__getitem__(index)
        return image, "abc"[int(label)]


def dataset(first: int = 12, kind: type[TensorDataset] = TensorDataset) -> TensorDataset:
    return kind(torch.from_numpy(PIXELS[:first]), torch.from_numpy(LABELS[:first]))


def test_arrays_and_datasets_may_be_given_one_by_one() -> None:
    wanted = dd.load_data((PIXELS, LABELS, PIXELS[:6], LABELS[:6])).fingerprint()
    given: list[dd.TargetData] = [
        dd.load_data(PIXELS, LABELS, PIXELS[:6], LABELS[:6]),
        dd.load_data((PIXELS, LABELS), test=(PIXELS[:6], LABELS[:6])),
        dd.load_data((dataset(), dataset(6)), name="arrays"),
        dd.load_data(dataset(), dataset(6), name="arrays"),
        dd.load_data({"train": dataset(), "test": dataset(6)}, name="arrays"),
    ]
    for data in given:
        assert data.fingerprint() == wanted and data.test is not None and len(data.test) == 6
    assert dd.load_data(PIXELS, LABELS).test is None


def test_labels_that_are_texts_are_names_of_classes() -> None:
    texts = np.array(["ape", "cat", "wolf"])[LABELS]
    found = dd.load_data(PIXELS, texts)
    assert found.spec.class_names == ("ape", "cat", "wolf") and found.train.targets.tolist() == LABELS.tolist()
    assert dd.load_data(PIXELS, [str(10 - n) for n in LABELS]).spec.class_names == ("8", "9", "10")
    ordered = dd.load_data(PIXELS, texts, class_names=["wolf", "cat", "ape"])
    assert ordered.train.targets.tolist() == (2 - LABELS).tolist()
    assert dd.load_data(dataset(kind=Named)).spec.class_names == ("a", "b", "c")
    with pytest.raises(InputDataError, match="test label 'yak' is not among the classes ape, cat, wolf"):
        dd.load_data(PIXELS, texts, PIXELS[:2], ["ape", "yak"])
    # Data like other data gives a class the id that it has there.
    like = dd.load_data(PIXELS[:6], np.array(["wolf", "ape", "cat"])[LABELS[:6]], like=ordered.spec)
    assert like.train.targets.tolist() == [0, 2, 1, 0, 2, 1] and like.spec.class_names == ordered.spec.class_names


def test_classes_of_folders_get_the_ids_of_like(tmp_path: Path) -> None:
    for name in ("ape", "cat", "wolf"):
        (tmp_path / name).mkdir()
        for n in range(5):
            Image.fromarray(PIXELS[n, 0]).save(tmp_path / name / f"{n}.png")
    like = dd.load_data(PIXELS, LABELS, class_names=["wolf", "cat", "ape"]).spec
    assert dd.load_data(tmp_path, like=like).train.targets.unique(return_counts=True)[0].tolist() == [0, 1, 2]
    assert dd.load_data(tmp_path, like=like).train.targets[0] == 2, "the first folder, ape"
    (tmp_path / "wolf").rename(tmp_path / "yak")
    with pytest.raises(InputDataError, match="the class 'yak' is not among those of like=: wolf, cat, ape"):
        dd.load_data(tmp_path, like=like)


def test_classes_that_no_network_can_learn_are_said() -> None:
    with pytest.warns(
        DistillationWarning, match="training labels are 1, 2, 3: networks get 4 outputs, of which 1 never"
    ):
        dd.load_data(PIXELS, LABELS + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dd.load_data(PIXELS, LABELS + 1, num_classes=4)
        dd.load_data(PIXELS[LABELS < 2], LABELS[LABELS < 2], PIXELS, LABELS, classes=[0, 1], num_classes=3)
    with pytest.warns(
        DistillationWarning, match=r"4 of 12 test examples are of classes without .*of_classes\(\[0, 1\]\)"
    ):
        dd.load_data(PIXELS[LABELS < 2], LABELS[LABELS < 2], PIXELS, LABELS)
    with pytest.raises(InputDataError, match=r"labels \[3\] lie outside 0..2; ids begin at 0"):
        dd.load_data(PIXELS, LABELS + 1, class_names=["a", "b", "c"])


@pytest.mark.parametrize("path", ["nowhere/a.npz", "a.tar", "/nowhere", "images/here", "a.csv"])
def test_a_file_that_is_not_there_is_no_unknown_name(path: str) -> None:
    with pytest.raises(InputDataError, match=f"no such file or folder: {path}"):
        dd.load_data(path)
    with pytest.raises(UnknownNameError, match="unknown data 'minst'"):
        dd.load_data("minst")


def test_files_of_no_known_kind_and_damaged_ones_say_so(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("words")
    with pytest.raises(InputDataError, match=r"notes.md is of no known kind: give one of .*file\.npz"):
        dd.load_data(tmp_path / "notes.md")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"garbage" * 50)
    with pytest.raises(InputDataError, match=r"damaged.npz is damaged, or no .npz file"):
        dd.load_data(damaged)
    np.savez(damaged, x_train=np.array([None, {}], dtype=object), y_train=np.arange(2))
    with pytest.raises(InputDataError, match="array of objects, which is refused") as caught:
        dd.load_data(damaged)
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (("digits",), {"test": (PIXELS, LABELS)}, "says itself which examples are the test"),
        ((PIXELS, LABELS, PIXELS, LABELS), {"test": (PIXELS, LABELS)}, "test arrays already"),
        ((PIXELS, LABELS), {"test": PIXELS}, r"pair \(x_test, y_test\)"),
        ((PIXELS, LABELS), {"size": 16}, "these are of 8 x 8: resize them before"),
        (("digits", "cls"), {}, "takes one name or path"),
        (([dataset(), dataset()],), {}, "cannot read data from list"),
        ((list(zip(PIXELS, LABELS, strict=True)),), {}, "cannot read data from list"),
    ],
)
def test_what_was_ignored_or_is_no_data_is_refused(
    given: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputDataError, match=message):
        dd.load_data(*given, **options)


def test_a_folders_val_is_used_or_said(tmp_path: Path) -> None:
    for part in ("train", "valid", "extra"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for n in range(5):
                Image.fromarray(PIXELS[n, 0]).save(tmp_path / part / name / f"{n}.png")
    with pytest.warns(DistillationWarning) as said:
        data = dd.load_data(tmp_path)
    assert data.validation is not None and len(data.validation) == 10 and data.test is not None and len(data.test) == 2
    texts = [str(warning.message) for warning in said]
    assert "extra beside train/ is not read: splits are called train, val, valid, validation, test" in texts[0]
    assert "no test/: a fifth of train/ is the test split, and valid/ the validation split" in texts[1]
    (tmp_path / "train").rename(tmp_path / "training")
    with pytest.raises(InputDataError, match="has the folder valid/ of classes and no train/"):
        dd.load_data(tmp_path)
