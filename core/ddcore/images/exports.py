"""Images as files of others: a folder per class, arrays, or a folder of ``datasets``."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from ddcore.data.exports import class_label, datasets_package, write_dataset
from ddcore.errors import UnsupportedError
from ddcore.factorization.span import quantise
from ddcore.images.show import pixels_of
from ddcore.parts import Decoded, Spec

SOFT = "soft_labels.csv"
SPLITS = ("train", "test", "val", "validation")
"""Names of folders that mean a split, so that no class has one of them."""


def write_folder(decoded: Decoded, path: Path, card: str) -> None:
    """Write ``path/<class>/<number>.png``, as torchvision's ``ImageFolder`` reads it.

    A folder has its class's name; letters that no file system takes are underscores. Without
    names, ids have leading zeros, so that their order is that of the ids. Labels that are
    distributions stand in ``soft_labels.csv``, by the image's path.
    """
    ids = _ids(decoded)
    folders = folder_names(decoded.spec, sorted(set(ids)))
    digits, files = len(str(len(ids) - 1)), []
    for number, (content, class_id) in enumerate(zip(_pngs(decoded), ids, strict=True)):
        file = Path(folders[class_id]) / f"{number:0{digits}d}.png"
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(content)
        files.append(file.as_posix())
    if decoded.targets.ndim == 2:
        names = [decoded.spec.name_of(c) for c in range(decoded.spec.num_classes)]
        frame = pd.DataFrame(decoded.targets.numpy(), columns=names, index=pd.Index(files, name="file"))
        frame.to_csv(path / SOFT)


def write_npz(decoded: Decoded, path: Path, card: str) -> None:
    """Write ``x_train`` (float32 in [0, 1]), ``y_train`` and ``class_names``, as `load_data` reads.

    Labels that are distributions stand in ``y_soft`` too.
    """
    spec, soft = decoded.spec, {}
    if decoded.targets.ndim == 2:
        soft["y_soft"] = decoded.targets.numpy()
    arrays: dict[str, Any] = {
        "x_train": pixels_of(decoded).numpy(),
        "y_train": np.array(_ids(decoded), dtype=np.int64),
        "class_names": np.array([spec.name_of(c) for c in range(spec.num_classes)]),
        **soft,
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def write_huggingface(decoded: Decoded, path: Path, card: str) -> None:
    """Write columns ``image`` and ``label``, and ``soft_label`` where labels are distributions."""
    datasets = datasets_package()
    columns: dict[str, Sequence[Any]] = {
        "image": [{"bytes": content, "path": None} for content in _pngs(decoded)],
        "label": _ids(decoded),
    }
    features = {"image": datasets.Image(), "label": class_label(decoded.spec)}
    if decoded.targets.ndim == 2:
        columns["soft_label"] = decoded.targets.tolist()
        features["soft_label"] = datasets.Sequence(datasets.Value("float32"), length=decoded.spec.num_classes)
    write_dataset(columns, features, path, card)


def folder_names(spec: Spec, classes: Sequence[int]) -> dict[int, str]:
    """Return a name for the folder of each class. No two differ by capitals alone."""
    digits = len(str(spec.num_classes - 1))
    found: dict[int, str] = {}
    for class_id in classes:
        name = re.sub(r"[^\w .+-]", "_", spec.name_of(class_id)).strip(" .")[:100]
        if not spec.class_names:
            name = f"{class_id:0{digits}d}"
        taken = {other.casefold() for other in found.values()}
        if not name or name.casefold() in taken or name.casefold() in SPLITS:
            name = f"{name}_{class_id}".lstrip("_")
        found[class_id] = name
    return found


def _ids(decoded: Decoded) -> list[int]:
    """Return the class of each example; of a distribution the likeliest."""
    targets = decoded.targets
    ids: list[int] = (targets.argmax(dim=1) if targets.ndim == 2 else targets).tolist()
    return ids


def _pngs(decoded: Decoded) -> list[bytes]:
    channels = decoded.spec.shape[0]
    if channels not in (1, 3):
        raise UnsupportedError(f"images of {channels} channels are no PNG: take the form npz")
    return [_png(image) for image in quantise(pixels_of(decoded))]


def _png(image: Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()).save(buffer, format="PNG")
    return buffer.getvalue()
