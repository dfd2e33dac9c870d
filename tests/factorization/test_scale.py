"""Levels of a span, and colours of a palette."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ddcore as dd
from ddcore.choosing import codecs
from ddcore.errors import SettingsError, SummaryFormatError
from ddcore.factorization import Compressed
from ddcore.factorization.coded import code_of, decoded
from ddcore.factorization.scale import Levels, Palette
from ddcore.images import LowResolution
from ddcore.summary import DataSummary
from tests.factorization.contract import run_on


@pytest.fixture(scope="module")
def coloured(few_digits: dd.TargetData) -> dd.TargetData:
    """Digits in the colours of their class, on a background that is not black."""
    few, colours = few_digits.train, torch.tensor([[230.0, 40, 40], [40, 200, 60], [250, 220, 30]])
    grey = few.inputs.float() / 255
    of_class = colours[torch.tensor([0, 1, 2])[torch.bucketize(few.targets, torch.tensor([0, 1, 7]))]]
    mixed = grey * of_class.view(-1, 3, 1, 1) + (1 - grey) * torch.tensor([20.0, 30, 90]).view(1, 3, 1, 1)
    return dd.load_data((mixed.round().to(torch.uint8).numpy(), few.targets.numpy()), num_classes=10)


def test_a_pixel_lies_on_its_nearest_colour() -> None:
    random = torch.Generator().manual_seed(0)
    pixels = torch.rand(3, 3, 5, 4, generator=random)
    palette = Palette.of(pixels, 6)
    assert palette.colours.shape == (6, 3)
    assert torch.equal(palette.colours * 255, (palette.colours * 255).round())
    assert torch.equal(palette.colours.sum(1).sort().values, palette.colours.sum(1))
    found = palette.numbers(palette.places(pixels))
    for n in range(3):
        for row in range(5):
            for column in range(4):
                distances = (palette.colours - pixels[n, :, row, column]).norm(dim=1)
                chosen = (found[n, :, row, column] - pixels[n, :, row, column]).norm()
                assert float(chosen) == pytest.approx(float(distances.min()), abs=1e-6)


def test_few_colours_are_all_kept() -> None:
    three = torch.tensor([[0, 0, 0], [255, 0, 10], [200, 250, 255]]) / 255
    pixels = three[torch.arange(32).view(2, 4, 4) % 3].movedim(-1, 1)
    for count in (3, 5):
        palette = Palette.of(pixels, count)
        assert len(palette.colours) == count and torch.equal(palette.numbers(palette.places(pixels)), pixels)


def test_colours_come_from_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 32nd pixel of images of 32 columns would be of one column."""
    monkeypatch.setattr("ddcore.factorization.scale.MOST_PIXELS", 64)
    pixels = torch.zeros(4, 3, 16, 32)
    pixels[..., 8:] = 1
    assert Palette.of(pixels, 2).colours.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_pixels_that_are_many_are_placed_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    palette = Palette.of(pixels, 5)
    whole = palette.places(pixels)
    monkeypatch.setattr("ddcore.factorization.scale.MOST_DISTANCES", 35)
    assert torch.equal(palette.places(pixels), whole)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_palette_is_nearer_than_levels(few_digits: dd.TargetData, count: int) -> None:
    pixels = few_digits.train.inputs.float() / 255
    errors = [
        float((scale.numbers(scale.places(pixels)) - pixels).square().mean())
        for scale in (Palette.of(pixels, count), Levels(count))
    ]
    assert errors[0] < errors[1]


def test_codes_hold_a_palette() -> None:
    pixels = torch.rand(4, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    palette = Palette.of(pixels, 7)
    found, scale = decoded("images", code_of(pixels, palette), 7, 3)
    assert isinstance(scale, Palette) and torch.equal(scale.colours, palette.colours)
    assert torch.equal(found, palette.numbers(palette.places(pixels)))


def test_hostile_palettes_are_refused() -> None:
    pixels = torch.rand(4, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    code = code_of(pixels, Palette.of(pixels, 7))
    with pytest.raises(SummaryFormatError, match="ends before"):
        decoded("images", code[:20], 7, 3)
    planes = code.clone()
    planes[2:4] = torch.tensor([2, 2], dtype=torch.uint8)  # 2 x 2 in place of 4 x 1
    with pytest.raises(SummaryFormatError, match="one plane per image"):
        decoded("images", planes, 7, 3)


def test_a_palette_takes_fewer_bytes_than_levels_of_each_channel(coloured: dd.TargetData, tmp_path: Path) -> None:
    small = LowResolution(ipc=6, size=8)
    sizes, errors = [], []
    for palette in (True, False):
        kind = Compressed(small, levels=8, palette=palette)
        summary = dd.distill(coloured, replace(dd.methods.random(ipc=6), factorization=kind), progress=False)
        real = dd.distill(coloured, replace(dd.methods.random(ipc=6), factorization=small), progress=False)
        sizes.append(summary.stored_bytes)
        errors.append(float((summary.to_pixels() - real.to_pixels()).square().mean()))
        summary.save(tmp_path / str(palette))
        again = DataSummary.load(tmp_path / str(palette))
        assert torch.equal(again.to_pixels(), summary.to_pixels()) and again.stored_bytes == summary.stored_bytes
        limit = kind.max_bytes(coloured.spec, coloured.counts())
        assert summary.stored_bytes <= limit
    assert sizes[0] < 0.7 * sizes[1] and errors[0] < 1.5 * errors[1]


@pytest.mark.parametrize("nbytes", [180, 400])
def test_a_distilled_palette_keeps_its_colours_and_its_bytes(coloured: dd.TargetData, nbytes: int) -> None:
    kind = Compressed(LowResolution(ipc=4, size=8), levels=4, palette=True)
    method = dd.methods.compose("dm", replace(kind, nbytes=nbytes), preset="cpu").on_networks("convnet(width=4)")
    method = dd.override(method.with_steps(5), "matching.real_batch", 8)
    summary = dd.distill(coloured, method, progress=False)
    assert summary.stored_bytes <= nbytes
    seen = (summary.to_pixels() * 255).round().movedim(1, -1).reshape(-1, 3).unique(dim=0)
    assert 2 <= len(seen) <= 4


def test_gradients_pass_the_palette_as_if_it_were_not_there(coloured: dd.TargetData) -> None:
    small, found = LowResolution(ipc=2, size=4), []
    for settings in (small, Compressed(small, levels=4, palette=True)):
        examples = settings.start(run_on(coloured))
        (images,) = examples.groups()["images"]
        (gradient,) = torch.autograd.grad((examples.decode().inputs * torch.arange(64).view(8, 8)).sum(), images)
        found.append(gradient)
    assert torch.allclose(found[0], found[1], rtol=1e-4)


def test_a_budget_in_colour_holds_more_examples_where_channels_are_one(coloured: dd.TargetData) -> None:
    small, counts = LowResolution(ipc=1, size=8), coloured.counts()
    held = [
        sum(Compressed(small, levels=8, palette=p).within(300, coloured.spec, counts).counts_for(counts).values())
        for p in (False, True)
    ]
    assert held[1] == pytest.approx(3 * held[0], rel=0.35)


def test_images_in_colour_compete_on_palettes_and_grey_ones_on_levels(
    coloured: dd.TargetData, few_digits: dd.TargetData
) -> None:
    assert set(codecs(coloured.spec)) == {f"8 px, {count} colours" for count in (4, 8, 16)}
    assert set(codecs(few_digits.spec)) == {f"8 px, {count} levels" for count in (2, 3, 4, 16)}
    photographs = dd.load_data((np.zeros((2, 32, 32, 3), np.uint8), np.arange(2)), num_classes=2)
    assert {name.partition(",")[0] for name in codecs(photographs.spec)} == {"32 px", "16 px", "11 px", "8 px"}


def test_wrong_palettes_say_what_to_do() -> None:
    with pytest.raises(SettingsError, match="palette must be True or False"):
        Compressed(LowResolution(ipc=1), palette=8)  # type: ignore[arg-type]
