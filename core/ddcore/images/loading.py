"""``load_images``: from a name, a path, a torch Dataset or arrays to a `TargetData`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddcore.data.root import cache_root
from ddcore.errors import InputDataError, Setting
from ddcore.images import sources
from ddcore.images.folders import Reading
from ddcore.images.normalisation import fit_normalisation
from ddcore.images.pictures import Form
from ddcore.images.reading import arrays_of, with_class_ids
from ddcore.images.spec import ImageSpec, check_images
from ddcore.parts import Normalisation, Spec, Split, TargetData, split_in_two


def load_images(
    source: object,
    *,
    test: object = None,
    target: str | None = None,
    name: str | None = None,
    normalisation: str | Normalisation = "standard",
    validation: float = 0.0,
    num_classes: int | None = None,
    classes: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    mirror: bool | None = None,
    shape: Sequence[int] | None = None,
    split_by: str = "draw",
    size: int | None = None,
    enlarge: bool = False,
    corrupt: str = "refuse",
    like: Spec | None = None,
    root: str | Path | None = None,
    seed: int = 0,
) -> TargetData:
    """Load a dataset of images.

    Args:
        source: a name (``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``, ``cifar100``,
            ``svhn``), the path of a ``.npz`` file, of an image folder (`read_folder`) or of a
            ``.tar`` as webdataset writes them, a map-style torch ``Dataset`` of
            ``(image, label)``, a pair of these for training and test or a mapping of them by split,
            a ``datasets.Dataset`` or ``DatasetDict`` with a column of images, a mapping with
            ``x_train, y_train`` and optionally ``x_test, y_test``, or a tuple of these arrays.
            Labels are class ids, or names. Names get the ids of ``class_names``, or else are
            numbered in order. Images of folders and tars are decoded once, and drawn from a file
            (`cached`).
        test: a second ``Dataset`` or ``.tar``, where ``source`` is one; or ``(x_test, y_test)``.
        target: the column of classes of a ``datasets.Dataset``. Default: its only ``ClassLabel``,
            or ``label``.
        name: what reports call the data; default: the name or the file's stem.
        normalisation: ``standard``, ``none``, a ZCA (see `fit_normalisation`), or one fitted
            elsewhere (clients share one).
        validation: share of the training split to carve out for validation, stratified.
        num_classes: size of the label space, when the data may lack some classes; default: highest
            label + 1.
        classes: ids that the data has, declared. Default: those found among the training examples.
            A private run refuses these unless they are all of ``num_classes``.
        class_names: one per class id.
        mirror: whether mirrored images keep their class; default: yes, except for data known to
            show digits.
        shape: channels, height and width, declared. Images of a folder are brought to them, one by
            one; others must have them. Default: read from the examples.
        split_by: how splits are cut here: ``draw`` or ``content`` (`split_in_two`).
        size: side to which images of a folder, a tar or a ``datasets.Dataset`` are brought; needed
            when they differ. The short side is resized, the long one cut about the centre.
        enlarge: whether images that are smaller than that are accepted.
        corrupt: ``refuse`` or ``skip`` images of a folder that cannot be read.
        like: facts of other such data (a summary's ``spec``), whose normalisation and number of
            classes are taken. Classes that have names get the ids that they have there.
        root: where downloads are kept; default: the variable ``DDCORE_DATA``, else
            ``~/.cache/ddcore``. Decoded pixels are kept in its ``cache``, or in ``DDCORE_CACHE``.
        seed: of the splits that are drawn here. The embedded ``digits`` always uses its own fixed
            split.

    Raises:
        UnknownNameError: no such name or path.
        InputDataError: the data cannot be used as given.
    """
    if size is not None and size < 1:
        raise InputDataError(f"size must be at least 1, not {size}")
    if shape is not None and not (len(shape) == 3 and min(shape) >= 1):
        raise InputDataError(f"shape must be channels, height and width, at least 1 each, not {tuple(shape)}")
    if like is not None:
        normalisation, num_classes = like.normalisation, like.num_classes
    declared_names = None if class_names is None else tuple(class_names)
    sides = (size, size) if size is not None else None
    form = Form(None, sides, enlarge) if shape is None else Form(shape[0], (shape[1], shape[2]), enlarge)
    reading = Reading(form, cache_root(root), corrupt)
    arrays, found_name = arrays_of(source, test, root=root, reading=reading, names=declared_names, target=target)
    arrays = with_class_ids(arrays, declared_names, None if like is None else like.class_names)
    name = name or found_name
    facts = sources.facts_about(name)
    names = tuple(class_names or arrays.class_names or facts.class_names)
    train = as_split(arrays.train[0], arrays.train[1], "training")
    held_out = None if arrays.test is None else as_split(arrays.test[0], arrays.test[1], "test")
    if not len(train):
        raise InputDataError(f"{name}: the training split is empty")
    if shape is not None and tuple(train.inputs.shape[1:]) != tuple(shape):
        raise InputDataError(f"{name}: images have shape {tuple(train.inputs.shape[1:])}, declared is {tuple(shape)}")
    if sides is not None and tuple(train.inputs.shape[2:]) != sides:
        raise InputDataError(
            f"{name}: ",
            Setting("size"),
            f" resizes the images of folders, tars and datasets with a column of images; these are of "
            f"{train.inputs.shape[2]} x {train.inputs.shape[3]}: resize them before",
        )
    carved, drawn = None, False
    if arrays.validation is not None:
        if validation:
            raise InputDataError(f"{name} has a validation split already: leave validation= out")
        carved = as_split(arrays.validation[0], arrays.validation[1], "validation")
    if held_out is None and arrays.split_test:
        fixed = arrays.split_seed is not None
        by, seed_of = ("draw", arrays.split_seed) if fixed else (split_by, seed)
        kept, tested = split_in_two(train, train.targets, 0.2, seed_of or 0, by)
        drawn = not fixed and split_by == "draw"
        train, held_out = train.take(kept), train.take(tested)
    if validation:
        kept, chosen = split_in_two(train, train.targets, validation, seed, split_by)
        drawn = drawn or split_by == "draw"
        train, carved = train.take(kept), train.take(chosen)
    highest = max(int(s.targets.max()) for s in (train, held_out, carved) if s is not None and len(s))
    known = facts.class_names if str(source) in sources.NAMED else ()
    given_names = tuple(class_names or arrays.class_names or known)
    if num_classes is not None and given_names and len(given_names) != num_classes:
        raise InputDataError(f"{name} has {len(given_names)} class names, declared are {num_classes} classes")
    declared = num_classes is not None or bool(given_names)
    num_classes = num_classes or len(given_names) or highest + 1
    fitted = not isinstance(normalisation, Normalisation) and normalisation != "none"
    found = tuple(c for c in sorted(train.targets.unique().tolist()) if 0 <= c < num_classes)
    declared = declared and (classes is not None or len(found) == num_classes)
    strangers = set(found) - set(found if classes is None else classes)
    if strangers:
        raise InputDataError(f"{name}: training labels {sorted(strangers)[:5]} are not among the declared classes")
    spec = ImageSpec(
        shape=tuple(train.inputs.shape[1:]),
        num_classes=num_classes,
        classes=found if classes is None else tuple(sorted(set(classes))),
        class_names=names if len(names) == num_classes else (),
        mirror=facts.mirror if mirror is None else mirror,
        normalisation=normalisation
        if isinstance(normalisation, Normalisation)
        else fit_normalisation(normalisation, train.inputs),
        read_from_examples=tuple(
            fact
            for fact, read in (
                ("classes", not declared),
                ("class_names", arrays.names_found and class_names is None),
                ("shape", arrays.one_by_one and shape is None),
                ("normalisation", fitted),
                ("split", drawn),
            )
            if read
        ),
    )
    return TargetData(name, spec, train, held_out, carved)


def _numbers(values: Any, title: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.cpu()
    try:
        return torch.as_tensor(np.ascontiguousarray(values)).cpu()
    except (TypeError, ValueError) as error:
        kind = np.asarray(values, dtype=object).flat[0] if len(values) else values
        raise InputDataError(f"the {title} are not numeric: the first is of type {type(kind).__name__}") from error


def as_split(images: Any, labels: Any, title: str) -> Split:
    """Bring images to ``n x channels x height x width`` and labels to int64, both on the CPU.

    Grey images may come as ``n x height x width``; colour images with the channels second or last.
    """
    inputs, targets = _numbers(images, f"{title} images"), _numbers(labels, f"{title} labels")
    if inputs.ndim == 3:
        inputs = inputs.unsqueeze(1)
    elif inputs.ndim == 4 and inputs.shape[-1] in (1, 3) and inputs.shape[1] not in (1, 3):
        inputs = inputs.permute(0, 3, 1, 2)
    elif inputs.ndim == 4 and inputs.shape[-1] in (2, 4) and inputs.shape[1] not in (1, 2, 3, 4):
        raise InputDataError(
            f"the {title} images have shape {tuple(inputs.shape)}: pass grey or RGB images (no transparency), or put "
            "the channels second"
        )
    if inputs.dtype.is_floating_point:
        inputs = inputs.float()
    targets = targets.flatten() if targets.ndim == 2 and targets.shape[1] == 1 else targets
    if targets.dtype.is_floating_point and not bool((targets == targets.round()).all()):
        raise InputDataError(f"the {title} labels are not whole numbers")
    if targets.is_complex() or targets.dtype == torch.bool:
        raise InputDataError(f"the {title} labels must be integers, not {targets.dtype}")
    inputs = inputs.contiguous()
    check_images(inputs)
    return Split(inputs, targets.to(torch.int64))
