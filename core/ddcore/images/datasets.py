"""Images of a dataset: pairs of torch, or columns of Hugging Face. They are decoded into memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddcore.data.class_names import are_texts
from ddcore.data.hugging_face import class_column, class_names_in, parts_of, require_labelled
from ddcore.errors import InputDataError, UnknownNameError
from ddcore.images.pictures import Form, header_of_image, pixels_of_image, resolved
from ddcore.images.sources import Arrays

IMAGE = ("Image",)
LABELS = ("label", "labels", "class", "category", "target")
"""Columns that hold classes where no other is named."""


def is_dataset(source: object) -> bool:
    """Whether ``source`` is a map-style ``Dataset``: it has a length and gives items by number."""
    plain = isinstance(source, np.ndarray | Tensor | list | tuple | str | dict)
    return not plain and hasattr(source, "__getitem__") and hasattr(source, "__len__")


def read_dataset(dataset: Any) -> tuple[Any, Any]:
    """Read a map-style ``Dataset`` of ``(image, label)`` once.

    Images are PIL images, arrays or tensors of one size; labels are class ids or names.
    """
    images, labels = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputDataError(
                f"item {index} of the dataset is no pair (image, label): it is a {type(item).__name__}"
            )
        image, label = item
        images.append(image.cpu() if isinstance(image, Tensor) else torch.from_numpy(np.array(image)))
        labels.append(label)
    if len({tuple(image.shape) for image in images}) > 1:
        raise InputDataError("the dataset's images differ in size: add a transform that resizes them")
    if not images:
        raise InputDataError("the dataset is empty")
    if are_texts(labels):
        return torch.stack(images), np.array(labels)
    try:
        return torch.stack(images), torch.tensor([int(label) for label in labels])
    except (TypeError, ValueError) as error:
        raise InputDataError(f"the dataset's labels must be class ids or names: {error}") from error


def read_columns(source: Any, form: Form, target: str | None) -> Arrays:
    """Read a ``datasets.Dataset`` with a column of images and one of classes.

    Args:
        source: the dataset, or a dictionary of some by split.
        form: what the images are brought to.
        target: the column of classes. None: the only ``ClassLabel``, else one of a known name.
    """
    parts = parts_of(source)
    train = parts["train"]
    images = [name for name, feature in train.features.items() if type(feature).__name__ in IMAGE]
    if len(images) != 1:
        raise InputDataError(f"the dataset has {len(images)} columns of images ({', '.join(images)}): keep one of them")
    label = target or class_column(train) or next((name for name in LABELS if name in train.column_names), None)
    if label is None:
        others = ", ".join(name for name in train.column_names if name not in images)
        raise InputDataError(f"which column holds the classes? target= is one of {others}")
    if label not in train.column_names:
        raise UnknownNameError("column", label, train.column_names)
    read = {"train": _read(train, images[0], label, form, "train")}
    like_training = Form(*_form_of(read["train"][0]), form.enlarge)
    for split in parts.keys() - {"train"}:
        read[split] = _read(parts[split], images[0], label, like_training, split)
    names = class_names_in(train, label) or ()
    return Arrays(
        read["train"],
        read.get("test"),
        names,
        split_test="test" not in read,
        one_by_one=True,
        names_found=bool(names),
        validation=read.get("validation"),
    )


def _read(part: Any, image: str, label: str, form: Form, split: str) -> tuple[Any, Any]:
    """Return pixels, uint8, and labels of one split."""
    if not len(part):
        raise InputDataError(f"the split {split!r} is empty")
    pictures, labels = part[image][:], part[label][:]
    names = [f"{split} {row}" for row in range(len(pictures))]
    missing = next((name for name, picture in zip(names, pictures, strict=True) if picture is None), None)
    if missing is not None:
        raise InputDataError(f"image {missing} is missing: drop the row")
    shape = resolved(form, names, [header_of_image(picture) for picture in pictures])
    if not are_texts(labels):
        require_labelled(labels, split)
    return np.stack([pixels_of_image(picture, shape) for picture in pictures]), np.array(labels)


def _form_of(pixels: Any) -> tuple[int, tuple[int, int]]:
    return pixels.shape[1], (pixels.shape[2], pixels.shape[3])
