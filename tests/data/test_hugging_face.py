"""Datasets of Hugging Face give what the same arrays, tables and sentences give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import ddcore as dd
from ddcore.errors import DistillationWarning, InputDataError, UnknownNameError

datasets = pytest.importorskip("datasets")

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
NAMES = ["wolf", "ape", "cat"]


def pictures(pixels: np.ndarray = PIXELS, labels: Any = LABELS, kind: Any = None, **columns: Any) -> Any:
    features = {"image": datasets.Image(), "label": kind or datasets.ClassLabel(names=NAMES)}
    features |= {name: datasets.ClassLabel(names=NAMES) for name in columns}
    images = [Image.fromarray(image) for image in pixels]
    return datasets.Dataset.from_dict(
        {"image": images, "label": list(labels), **columns}, features=datasets.Features(features)
    )


def test_images_are_those_of_the_arrays_and_classes_those_of_the_class_label() -> None:
    parts = datasets.DatasetDict(
        train=pictures(), test=pictures(PIXELS[:6], LABELS[:6]), valid=pictures(PIXELS[3:6], LABELS[3:6])
    )
    found = dd.load_data(parts)
    arrays = dd.load_data((PIXELS, LABELS, PIXELS[:6], LABELS[:6]))
    assert found.spec.class_names == tuple(NAMES)
    assert torch.equal(found.train.inputs, arrays.train.inputs) and torch.equal(
        found.train.targets, arrays.train.targets
    )
    assert found.test is not None and arrays.test is not None and found.validation is not None
    assert torch.equal(found.test.inputs, arrays.test.inputs) and len(found.validation) == 3
    pair = dd.load_data(pictures(), pictures(PIXELS[:6], LABELS[:6]))
    assert pair.fingerprint() == found.fingerprint() and pair.test is not None and len(pair.test) == 6


def test_a_dataset_alone_gives_a_fifth_for_the_test_and_sizes_are_made_equal() -> None:
    found = dd.load_data(pictures(np.tile(PIXELS, (1, 2, 3, 1))), size=8)
    assert found.test is not None and (len(found.train), len(found.test)) == (9, 3)
    assert found.spec.shape == (3, 8, 8)
    grey = dd.load_data(pictures(PIXELS[..., 0]))
    assert grey.spec.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (lambda: pictures(other=LABELS), {}, None, ""),
        (lambda: pictures(kind=datasets.Value("int64"), fine=LABELS, rough=LABELS), {"target": "nothing"}, UnknownNameError, "'nothing'"),
        (lambda: pictures().rename_column("label", "y").cast_column("y", datasets.Value("int64")), {}, InputDataError, "target= is one of y"),
        (lambda: pictures(labels=[-1] * 12), {}, InputDataError, r"'train' has examples without a label \(-1\)"),
        (lambda: datasets.DatasetDict(test=pictures()), {}, InputDataError, "no split 'train', only test"),
        (lambda: pictures().to_iterable_dataset(), {}, InputDataError, "without streaming=True"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(source: Any, options: dict[str, str], error: Any, message: str) -> None:
    if error is None:
        assert dd.load_data(source(), **options).spec.num_classes == 3
        return
    with pytest.raises(error, match=message):
        dd.load_data(source(), **options)


def test_a_table_is_that_of_the_frame() -> None:
    columns = {"weight": [float(v) for v in range(20)], "colour": ["red", "blue"] * 10}
    kind = datasets.Features(
        {
            "weight": datasets.Value("float32"),
            "colour": datasets.Value("string"),
            "animal": datasets.ClassLabel(names=NAMES[:2]),
        }
    )
    given = datasets.Dataset.from_dict({**columns, "animal": [0, 1] * 10}, features=kind)
    found = dd.load_data(given)
    frame = dd.load_data(pd.DataFrame({**columns, "animal": NAMES[:2] * 10}), target="animal", class_names=NAMES[:2])
    assert found.spec.class_names == ("wolf", "ape") and torch.equal(found.train.inputs, frame.train.inputs)
    assert torch.equal(found.train.targets, frame.train.targets)


def test_sentences_take_the_names_of_their_classes_and_leave_other_splits_out() -> None:
    kind = datasets.Features({"text": datasets.Value("string"), "mood": datasets.ClassLabel(names=["sad", "glad"])})
    part = datasets.Dataset.from_dict(
        {"text": ["what a grey day", "what a fine day"] * 10, "mood": [0, 1] * 10}, features=kind
    )
    words = ["what", "a", "grey", "fine", "day"]
    with pytest.warns(DistillationWarning, match="splits unsupervised of the dataset are left out"):
        found = dd.load_data(
            datasets.DatasetDict(train=part, test=part, unsupervised=part),
            embeddings=(words, RNG.normal(size=(5, 4)).astype(np.float32)),
        )
    assert found.spec.modality == "sentences" and found.spec.class_names == ("sad", "glad")
    assert found.train.targets.tolist() == [0, 1] * 10
