"""Crops are where their numbers say, and a curriculum goes from its first share to its last."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.functional import resized_crop

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.ground import generator
from ddcore.images import RandomResizedCrop, RandomRoll
from ddcore.parts import Batch, NoAugmentation

IMAGES = torch.rand(6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCH = Batch(IMAGES, torch.arange(6))


def test_a_crop_on_whole_pixels_is_that_of_torchvision() -> None:
    """A quarter of the area at a known place, brought to full size."""
    crop = RandomResizedCrop(scale=(0.25, 0.25), ratio=(1.0, 1.0), mirror=0.0)
    view = crop.draw(generator(0, "x"), 6)
    view.uniform[2:4] = torch.tensor([[0.0, 0.25, 0.5, 0.75, 1.0, 0.5], [0.0, 1.0, 0.25, 0.5, 0.75, 0.0]])
    seen = view(BATCH).inputs
    for i in range(6):
        top, left = int(8 * view.uniform[2, i]), int(8 * view.uniform[3, i])
        wanted = resized_crop(IMAGES[i], top, left, 8, 8, [16, 16], antialias=False)
        # Here what lies beyond a crop's border still counts for the pixels next to it.
        inner = (slice(None), slice(1, -1), slice(1, -1))
        torch.testing.assert_close(seen[i][inner], wanted[inner])


def test_areas_and_ratios_are_within_their_bounds_and_crops_inside() -> None:
    crop = RandomResizedCrop(scale=(0.2, 0.6), ratio=(0.5, 2.0))
    view = crop.draw(generator(0, "x"), 2000)
    matrices = view.matrices(view.uniform, torch.Size((2000, 3, 16, 16)))
    width, height = matrices[:, 0, 0].abs(), matrices[:, 1, 1]
    assert float((width * height).min()) > 0.19 and float((width * height).max()) <= 0.6 + 1e-9
    assert bool((width <= 1).all()) and bool((height <= 1).all())
    assert float((width / height).log().abs().max()) <= math.log(2) + 1e-9
    for side, shift in ((width, matrices[:, 0, 2]), (height, matrices[:, 1, 2])):
        assert float((side + shift.abs()).max()) <= 1 + 1e-9
    mirrored = float((matrices[:, 0, 0] < 0).double().mean())
    assert 0.45 < mirrored < 0.55


def test_the_whole_image_stays_and_is_mirrored() -> None:
    whole = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0), mirror=1.0)
    torch.testing.assert_close(whole.draw(generator(0, "x"))(BATCH).inputs, IMAGES.flip(3))


def test_a_crop_is_differentiable() -> None:
    view = RandomResizedCrop().draw(generator(0, "x"), 2)
    few = IMAGES[:2, :1, :4, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: view(Batch(x, torch.arange(2))).inputs, (few,))


@pytest.mark.parametrize(("progress", "least"), [(0.0, 1.0), (0.25, 0.54), (0.5, 0.08), (1.0, 0.08)])
def test_a_curriculum_ends_where_it_says(progress: float, least: float) -> None:
    crop = RandomResizedCrop(scale=(1.0, 1.0), ends_at=0.08, ends_by=0.5)
    assert crop.at(progress).scale == (pytest.approx(least), 1.0)
    assert RandomResizedCrop().at(progress) == RandomResizedCrop()


def test_a_roll_keeps_every_pixel_and_goes_as_far_as_it_may() -> None:
    random, seen = generator(0, "x"), set()
    for _ in range(60):
        rolled = RandomRoll(2).draw(random)(BATCH).inputs
        (by,) = [(a, b) for a in range(3) for b in range(3) if torch.equal(rolled, IMAGES.roll((a, b), dims=(2, 3)))]
        seen.add(by)
    assert len(seen) == 9
    with pytest.raises(UnsupportedError, match="one draw for a whole batch"):
        RandomRoll(2).draw(random, 6)


def test_digits_are_not_mirrored_and_tables_not_cropped(few_digits: dd.TargetData) -> None:
    spec = replace(few_digits.spec, mirror=False)
    assert RandomResizedCrop().suited_to(spec) == RandomResizedCrop(mirror=0.0)
    numbers = dd.load_data((torch.rand(20, 3).numpy(), torch.arange(20).numpy() % 2), name="table")
    for augmentation in (RandomResizedCrop(), RandomRoll()):
        assert augmentation.suited_to(numbers.spec) == NoAugmentation()


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": (0.0, 1.0)},
        {"scale": (0.9, 0.2)},
        {"ratio": (2.0, 1.0)},
        {"mirror": 2.0},
        {"ends_at": 0.0},
        {"ends_by": 0.0},
    ],
)
def test_impossible_crops_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        RandomResizedCrop(**settings)  # type: ignore[arg-type]


def test_border_samples_are_those_of_the_image() -> None:
    """No zeros come in at the border, as `affine` brings by default."""
    ones = Batch(torch.ones(4, 1, 8, 8), torch.arange(4))
    seen = RandomResizedCrop(scale=(0.5, 1.0)).draw(generator(0, "x"), 4)(ones).inputs
    assert F.l1_loss(seen, torch.ones_like(seen)) < 1e-6
