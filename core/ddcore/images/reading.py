"""From what a user has to arrays of images and class ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddcore.data.class_names import are_texts, ids_of, in_order
from ddcore.data.frames import SPLITS
from ddcore.data.hugging_face import is_hugging_face
from ddcore.data.npz import read_npz
from ddcore.data.root import data_root
from ddcore.errors import InputDataError, UnknownNameError
from ddcore.images import sources
from ddcore.images.datasets import is_dataset, read_columns, read_dataset
from ddcore.images.folders import Reading, read_folder, read_tars

# Names of a split's arrays in a .npz file, and in a mapping.
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def arrays_of(
    source: object,
    test: object,
    *,
    root: str | Path | None,
    reading: Reading,
    names: tuple[str, ...] | None,
    target: str | None,
) -> tuple[sources.Arrays, str]:
    """Return arrays and a name for them. The arguments are those of `load_images`."""
    if isinstance(source, str | Path):
        return _stored(source, test, root=root, reading=reading, names=names)
    if is_hugging_face(source):
        parts: Any = source if test is None else {"train": source, "test": test}
        return read_columns(parts, reading.form, target), "dataset"
    if isinstance(source, tuple) and len(source) == 2 and all(map(is_dataset, source)):
        source = dict(zip(("train", "test"), source, strict=True))
    if isinstance(source, Mapping) and source and set(source) <= set(SPLITS) and all(map(is_dataset, source.values())):
        return _datasets({**source} if test is None else {**source, "test": test})
    if isinstance(source, Mapping):
        return _with_test(_from_mapping(source), test), "arrays"
    if isinstance(source, tuple) and len(source) in (2, 4):
        return _with_test(_from_mapping(dict(zip(ARRAYS, source, strict=False))), test), "arrays"
    if isinstance(source, np.ndarray | Tensor):
        raise InputDataError(
            "an array alone has no labels: pass (x_train, y_train) or (x_train, y_train, x_test, y_test)"
        )
    if is_dataset(source):
        return _datasets({"train": source} if test is None else {"train": source, "test": test})
    raise InputDataError(
        f"cannot read data from {type(source).__name__}: give a name, a path, a map-style Dataset, a datasets.Dataset, "
        "a mapping with x_train and y_train, or a tuple of arrays or of Datasets for training and test"
    )


def _stored(
    source: str | Path, test: object, *, root: str | Path | None, reading: Reading, names: tuple[str, ...] | None
) -> tuple[sources.Arrays, str]:
    path = Path(source)
    if path.suffix == ".tar" and path.is_file():
        held_out = [] if test is None else [Path(str(test)).resolve()]
        return read_tars({"train": [path.resolve()], "test": held_out}, reading), path.stem
    if test is not None:
        raise InputDataError(f"{source} says itself which examples are the test: leave test= out")
    if str(source) in sources.NAMED:
        return sources.NAMED[str(source)](data_root(root)), str(source)
    if path.suffix == ".npz" and path.is_file():
        return _from_mapping(read_npz(path)), path.stem
    if path.is_dir():
        return read_folder(path, reading, names), path.resolve().name
    raise UnknownNameError(
        "data", str(source), (*sources.NAMED, "path/to/file.npz", "path/to/file.tar", "path/to/image/folder")
    )


def _datasets(parts: Mapping[str, Any]) -> tuple[sources.Arrays, str]:
    """Read Datasets of pairs by split. Their attribute ``classes`` names the classes."""
    if "train" not in parts:
        raise InputDataError(f"there is no Dataset 'train', only {', '.join(parts)}")
    found = getattr(parts["train"], "classes", None)
    named = isinstance(found, list | tuple)
    return sources.Arrays(
        read_dataset(parts["train"]),
        read_dataset(parts["test"]) if "test" in parts else None,
        tuple(map(str, found or ())) if named else (),
        one_by_one=True,
        names_found=named,
        validation=read_dataset(parts["validation"]) if "validation" in parts else None,
    ), type(parts["train"]).__name__.lower()


def _from_mapping(arrays: Mapping[str, Any]) -> sources.Arrays:
    if "x_train" not in arrays or "y_train" not in arrays:
        raise InputDataError(f"the arrays x_train and y_train are needed; found {sorted(map(str, arrays))}")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise InputDataError("x_test and y_test come together: one of them is missing")
    held_out = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
    return sources.Arrays((arrays["x_train"], arrays["y_train"]), held_out)


def _with_test(arrays: sources.Arrays, test: object) -> sources.Arrays:
    if test is None:
        return arrays
    if arrays.test is not None:
        raise InputDataError("there are test arrays already: leave test= out")
    if not isinstance(test, tuple) or len(test) != 2:
        raise InputDataError(f"test= of arrays is a pair (x_test, y_test), not of type {type(test).__name__}")
    return replace(arrays, test=test)


def with_class_ids(
    arrays: sources.Arrays, declared: tuple[str, ...] | None, like: Sequence[str] | None
) -> sources.Arrays:
    """Return the same arrays with class ids in place of names.

    Args:
        arrays: whose labels may be texts.
        declared: the classes' names, by id. Default: those of the training labels, in order.
        like: names in another order, that of a summary, say. Classes that have names get the ids
            that they have there.

    Raises:
        InputDataError: a label is no known class.
    """
    parts = {"training": arrays.train, "test": arrays.test, "validation": arrays.validation}
    given = {title: part for title, part in parts.items() if part is not None}
    names = arrays.class_names
    if are_texts(arrays.train[1]):
        names = declared or tuple(like or ()) or in_order(str(text) for text in np.asarray(arrays.train[1]).flat)
        given = {title: (x, ids_of(y, names, title)) for title, (x, y) in given.items()}
        arrays = replace(arrays, class_names=names, names_found=declared is None and not like)
    elif like and names and tuple(names) != tuple(like):
        strangers = sorted(set(names) - set(like))
        if strangers:
            raise InputDataError(f"the class {strangers[0]!r} is not among those of like=: {', '.join(like[:10])}")
        place = np.array([list(like).index(name) for name in names])
        given = {title: (x, place[_in_reach(y, len(names), title)]) for title, (x, y) in given.items()}
        arrays = replace(arrays, class_names=tuple(like), names_found=False)
    return replace(arrays, train=given["training"], test=given.get("test"), validation=given.get("validation"))


def _in_reach(labels: Any, count: int, title: str) -> Any:
    ids = labels.numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if len(ids) and not (ids.min() >= 0 and ids.max() < count):
        raise InputDataError(f"{title} labels lie outside 0..{count - 1}: there are {count} names of classes")
    return ids
