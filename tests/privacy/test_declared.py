"""Nothing but noisy answers depends on the private records: shapes, names, splits are declared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

import ddcore as dd
from ddapps.privacy import NO_LEDGER, PUBLIC_NORMALISATION, RepeatableEntropy, privatize
from ddcore.errors import InputDataError
from ddcore.parts import Split, content_split, stratified_split

PUBLIC: dict[str, Any] = {"normalisation": PUBLIC_NORMALISATION, "split_by": "content"}
NAMES = ("cat", "dog")


def pixels(count: int, colours: bool = False) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (8, 8, 3) if colours else (8, 8), dtype=np.uint8) for _ in range(count)]


def folder(place: Path, extra: Callable[[Path], object] | None) -> Path:
    for i, image in enumerate(pixels(40)):
        file = place / NAMES[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    if extra is not None:
        extra(place)
    return place


class Listed(Dataset[tuple[Image.Image, int]]):
    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.images[index]), index % 2


def arrays(count: int) -> dict[str, np.ndarray]:
    return {"x_train": np.stack(pixels(count)), "y_train": np.arange(count) % 2}


def loaders(place: Path) -> dict[str, tuple[Callable[[], dd.TargetData], Callable[[], dd.TargetData]]]:
    """Return, for each way to load, data and their neighbour with one record more."""
    folders: dict[str, Any] = {**PUBLIC, "class_names": NAMES, "classes": (0, 1), "shape": (1, 8, 8)}
    declared: dict[str, Any] = {**PUBLIC, "num_classes": 2, "classes": (0, 1)}

    def coloured(root: Path) -> None:
        Image.fromarray(pixels(1, colours=True)[0]).save(root / "cat" / "odd.png")

    def larger(root: Path) -> None:
        Image.fromarray(np.kron(pixels(1)[0], np.ones((2, 3), dtype=np.uint8))).save(root / "dog" / "odd.png")

    def stranger(root: Path) -> None:
        (root / "patient-17").mkdir()
        Image.fromarray(pixels(1)[0]).save(root / "patient-17" / "odd.png")

    found: dict[str, tuple[Callable[[], dd.TargetData], Callable[[], dd.TargetData]]] = {}
    for name, extra in {"colours": coloured, "size": larger, "folder": stranger}.items():
        found[name] = (
            lambda name=name: dd.load_data(folder(place / name / "a", None), name="x", **folders),
            lambda name=name, extra=extra: dd.load_data(folder(place / name / "b", extra), name="x", **folders),
        )
    found["arrays"] = tuple(lambda n=n: dd.load_data(arrays(n), name="x", **declared) for n in (40, 41))  # type: ignore[assignment,misc]
    found["dataset"] = tuple(  # type: ignore[assignment]
        lambda n=n: dd.load_data(Listed(pixels(n)), name="x", shape=(1, 8, 8), **declared)  # type: ignore[misc]
        for n in (40, 41)
    )

    def npz(count: int) -> dd.TargetData:
        np.savez(place / "x.npz", **arrays(count))  # type: ignore[arg-type]
        return dd.load_data(place / "x.npz", **declared)

    found["npz"] = tuple(lambda n=n: npz(n) for n in (40, 41))  # type: ignore[assignment,misc]
    return found


LOADERS = ("colours", "size", "folder", "arrays", "dataset", "npz")


@pytest.mark.parametrize("way", LOADERS)
def test_what_is_published_does_not_tell_that_a_record_is_there(way: str, tmp_path: Path) -> None:
    """Noise aside, every byte that neighbours publish is the same."""
    published = []
    for i, load in enumerate(loaders(tmp_path)[way]):
        target = load()
        method = dd.methods.psg(ipc=1, preset="cpu").on_networks("convnet(width=4)").with_steps(2)
        private = privatize(
            method,
            epsilon=2.0,
            delta=1e-3,
            accountant="rdp",
            sample_rate=0.5,
            max_grad_norm=1e-6,
            counts=dict.fromkeys(target.spec.classes, 15),
        )
        out = tmp_path / f"out{i}"
        private.distill(target, out=out, entropy=RepeatableEntropy(1), ledger=NO_LEDGER)
        config = json.loads((out / "config.json").read_text())
        del config["tensors_sha256"]
        images = dd.DataSummary.load(out).tensors()[0]
        published.append((config, (out / "README.md").read_text(), sorted(p.name for p in out.iterdir()), images.shape))
    assert published[0] == published[1]


@pytest.mark.parametrize("way", LOADERS)
def test_a_record_more_moves_one_record_of_the_split(way: str, tmp_path: Path) -> None:
    first, second = (load().with_validation(0.3, by="content") for load in loaders(tmp_path)[way])

    def records(target: dd.TargetData) -> list[set[bytes]]:
        splits = (target.train, target.test, target.validation)
        return [set() if s is None else {r.numpy().tobytes() for r in s.inputs} for s in splits]

    moved = sum(len(a ^ b) for a, b in zip(records(first), records(second), strict=True))
    assert moved == (0 if way == "folder" else 1)


def test_a_drawn_split_moves_many_and_is_refused(tmp_path: Path) -> None:
    place = folder(tmp_path / "images", None)
    declared: dict[str, Any] = {"class_names": NAMES, "classes": (0, 1), "shape": (1, 8, 8)}
    drawn = dd.load_data(place, normalisation=PUBLIC_NORMALISATION, **declared)
    assert drawn.spec.read_from_examples == ("split",)
    carved = dd.load_data(place, **PUBLIC, **declared).with_validation(0.2)
    private = privatize(dd.methods.psg(ipc=1, preset="cpu").with_steps(1), epsilon=2.0, delta=1e-3, accountant="rdp")
    for target in (drawn, carved):
        with pytest.raises(InputDataError, match=r"drawn by a permutation.*split_by='content'"):
            private.distill(target)


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("shape", r"the shape of images was read.*declare it, shape=\(channels, height, width\)"),
        ("class_names", "the class names of images were read.*class_names="),
        ("normalisation", "fitted to its private examples"),
    ],
)
def test_what_was_not_declared_is_refused_with_what_to_do(tmp_path: Path, left_out: str, message: str) -> None:
    words = {**PUBLIC, "class_names": NAMES, "classes": (0, 1), "shape": (1, 8, 8)}
    del words[left_out]
    target = dd.load_data(folder(tmp_path / "images", None), **words)
    private = privatize(dd.methods.psg(ipc=1, preset="cpu").with_steps(1), epsilon=2.0, delta=1e-3, accountant="rdp")
    with pytest.raises(InputDataError, match=message):
        private.distill(target)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((8, 8), "at least 1 each"), ((1, 0, 8), "at least 1 each"), ((2, 8, 8), "1 or 3 channels, not 2")],
)
def test_a_shape_that_images_cannot_have_is_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        dd.load_data(folder(tmp_path / "images", None), **PUBLIC, shape=shape)


def test_splits_by_content_have_the_fraction_and_follow_the_seed() -> None:
    split = Split(torch.randn(2000, 3), torch.arange(2000) % 5)
    kept, chosen = content_split(split, 0.3, seed=0)
    assert sorted([*kept.tolist(), *chosen.tolist()]) == list(range(2000))
    assert abs(len(chosen) - 600) < 5 * (2000 * 0.3 * 0.7) ** 0.5
    assert torch.equal(content_split(split, 0.3, seed=0)[1], chosen)
    assert not torch.equal(content_split(split, 0.3, seed=1)[1], chosen)
    # A permutation moves others when one record more is there: so it is no split of private data.
    fewer = stratified_split(split.targets[:-1], 0.3, 0)[1]
    assert len(set(fewer.tolist()) ^ set(stratified_split(split.targets, 0.3, 0)[1].tolist())) > 10
