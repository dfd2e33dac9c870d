"""A summary in a training loop of the user's own (docs/training.md)."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

import ddcore as dd
from ddcore.errors import InputDataError

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.fixture(scope="module")
def summary(few_digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(few_digits, dd.Method(dd.images.Pixels(ipc=2, clip=True, storage="uint8", init="random")))


def test_what_networks_see_is_normalised_in_both_directions(summary: dd.DataSummary, few_digits: dd.TargetData) -> None:
    inputs, pixels = summary.tensors()[0], summary.to_pixels()
    assert torch.allclose(summary.normalise(pixels), inputs, atol=1e-5)
    assert torch.equal(summary.denormalise(inputs), pixels)
    assert torch.equal(summary.normalise(pixels[1]), summary.normalise(pixels)[1]), "one image, without n"
    images = few_digits.train.inputs[:4]
    assert torch.equal(summary.normalise(images), summary.normalise(images.float() / 255)), "bytes and floats"
    assert float(summary.denormalise(inputs * 100).max()) == 1.0
    with pytest.raises(InputDataError, match=r"have shape \(1, 8, 8\), these are of \(3, 9, 9\)"):
        summary.normalise(torch.rand(3, 9, 9))
    with pytest.raises(InputDataError, match=r"must lie in \[0, 1\]"):
        summary.normalise(pixels * 255)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_transform_gets_pixels_and_returns_the_input(summary: dd.DataSummary, lazy: bool) -> None:
    plain = summary.as_dataset(transform=lambda pixels: pixels, lazy=lazy)
    assert all(torch.equal(plain[n][0], summary.to_pixels()[n]) for n in range(len(summary)))
    ready = summary.as_dataset(transform=summary.normalise, lazy=lazy)
    images, labels = next(iter(DataLoader(ready, batch_size=len(summary))))
    assert torch.allclose(images, summary.tensors()[0], atol=1e-5) and torch.equal(labels, summary.tensors()[1])


def test_the_page_runs_and_its_network_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortened: random images in place of distilled ones, and one pass."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DDCORE_CACHE", str(tmp_path / "cache"))
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for long, short in (("range(30)", "range(1)"), ('dm(ipc=10, preset="cpu"), steps=100', "random(ipc=3)")):
        assert code.count(long) == 1
        code = code.replace(long, short)
    page: dict[str, object] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, PAGE.name, "exec", dont_inherit=True), page)
    target, data = page["target"], page["test"]
    assert isinstance(target, dd.TargetData) and target.test is not None
    assert target.spec.class_names == tuple(f"digit-{n}" for n in range(10))
    # The page's test images, normalised by its transform, are those that evaluate tests on.
    inputs = torch.cat([images for images, _ in data])  # type: ignore[attr-defined]
    assert torch.allclose(inputs, page["summary"].normalise(target.test.inputs), atol=1e-5)  # type: ignore[attr-defined]
