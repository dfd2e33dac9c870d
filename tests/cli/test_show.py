"""``ddapps show --out``: the ending says how a picture is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ddcore as dd
from ddapps.cli.main import main


@pytest.fixture
def summary(digits: dd.TargetData, tmp_path: Path) -> str:
    return str(dd.distill(digits, dd.methods.random(ipc=1)).save(tmp_path / "summary"))


def test_the_ending_is_the_format(summary: str, tmp_path: Path) -> None:
    pictures = {}
    for ending, kind in ((".png", "PNG"), (".jpg", "JPEG"), (".JPEG", "JPEG"), (".webp", "WEBP")):
        path = tmp_path / "new" / f"x{ending}"
        assert main(["show", summary, "--out", str(path)]) == 0
        with Image.open(path) as image:
            assert image.format == kind
            pictures[ending] = np.asarray(image.convert("RGB")).astype(int)
    assert np.array_equal(pictures[".png"], pictures[".webp"])
    assert 0 < np.abs(pictures[".jpg"] - pictures[".png"]).mean() < 5


def test_the_picture_is_readable_and_named(summary: str) -> None:
    with Image.open(Path(summary) / "examples.png") as image:
        width, height = image.size
    assert min(width, height) > 300 and max(width, height) < 2 * min(width, height)
