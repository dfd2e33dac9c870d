from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.images import FAMILIES, SiameseAugmentation
from ddcore.images.augmentation import operations
from ddcore.parts import NoAugmentation


def images(n: int = 3, channels: int = 3, side: int = 8, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(0), dtype=dtype)


def apply(family: str, x: Tensor, seed: int = 0, count: int | None = None) -> Tensor:
    view = SiameseAugmentation(families=(family,)).draw(torch.Generator().manual_seed(seed), count)
    return view(dd.Batch(x, torch.zeros(len(x)))).inputs


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [None, 3])
def test_gradients_are_correct(family: str, count: int | None) -> None:
    x = images(side=5, channels=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: apply(family, t, seed=4, count=count), (x,))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_draw_does_the_same_to_every_image_and_to_two_batches(family: str) -> None:
    one = images(1)
    batch = apply(family, one.expand(4, -1, -1, -1), seed=2)
    assert torch.equal(batch, batch[:1].expand_as(batch))
    assert torch.equal(apply(family, one, seed=2), batch[:1])


@pytest.mark.parametrize("family", FAMILIES)
def test_own_draws_differ_between_images_and_equal_shared_draws_of_the_same_numbers(family: str) -> None:
    x = images(1).expand(16, -1, -1, -1)
    out = apply(family, x, seed=1, count=16)
    assert float((out - out[:1]).abs().max()) > 0
    settings = SiameseAugmentation(families=(family,))
    view = settings.draw(torch.Generator().manual_seed(1), 16)
    for i in range(16):
        alone = type(view)(settings, family, view.uniform[:, i : i + 1])(dd.Batch(x[:1], torch.zeros(1))).inputs
        assert torch.allclose(alone[0], out[i], atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_change_images_and_keep_shape_and_type(family: str) -> None:
    x = images(dtype=torch.float32)
    outs = [apply(family, x, seed=s) for s in range(8)]
    assert all(o.shape == x.shape and o.dtype == x.dtype for o in outs)
    assert any(not torch.equal(o, x) for o in outs)


def test_translation_equals_a_crop_of_the_padded_image() -> None:
    x = images()
    padded = F.pad(x, (2, 2, 2, 2))
    for down, right in ((0, 0), (2, -1), (-2, 2), (1, 1)):
        expected = padded[:, :, 2 - down : 10 - down, 2 - right : 10 - right]
        got = operations.translate(x, torch.tensor([down]), torch.tensor([right]))
        assert torch.equal(got, expected)
        assert torch.equal(operations.translate(x, torch.tensor([down] * 3), torch.tensor([right] * 3)), expected)


def test_cutout_leaves_a_hole_of_the_stated_size() -> None:
    ones = torch.ones(2, 1, 8, 8)
    out = operations.cutout(ones, torch.tensor([2, -2]), torch.tensor([3, 6]), (4, 4))
    assert int((out[0] == 0).sum()) == 16 and float(out[0, 0, 2:6, 3:7].sum()) == 0
    assert int((out[1] == 0).sum()) == 4 and float(out[1, 0, :2, 6:].sum()) == 0
    holes = [int((apply("cutout", torch.ones(1, 1, 8, 8), seed=s) == 0).sum()) for s in range(200)]
    assert max(holes) == 16 and min(holes) == 4


def test_a_flip_mirrors_about_half_of_the_time() -> None:
    x = images(1)
    flipped = sum(torch.equal(apply("flip", x, seed=s), x.flip(3)) for s in range(400))
    kept = sum(torch.equal(apply("flip", x, seed=s), x) for s in range(400))
    assert flipped + kept == 400 and 150 < flipped < 250


def test_color_on_grey_images_is_brightness_and_contrast_alone() -> None:
    x = images(channels=1)
    assert torch.allclose(operations.saturation(x, torch.tensor([7.0])), x)
    doubled = operations.contrast(x, torch.tensor([2.0]))
    assert torch.allclose(doubled.mean(dim=(1, 2, 3)), x.mean(dim=(1, 2, 3)))
    assert torch.allclose(doubled.std(dim=(1, 2, 3)), 2 * x.std(dim=(1, 2, 3)))
    assert torch.allclose(operations.brightness(x, torch.tensor([0.25])) - x, torch.full_like(x, 0.25))


def test_rotation_by_a_quarter_turn_and_scale_by_one_are_exact() -> None:
    x = images()
    quarter = operations.affine(x, operations.rotation(torch.tensor([torch.pi / 2], dtype=torch.float64)))
    assert torch.allclose(quarter, torch.rot90(x, 1, (2, 3)), atol=1e-9)
    one = torch.ones(1, dtype=torch.float64)
    assert torch.allclose(operations.affine(x, operations.scaling(one, one)), x, atol=1e-12)


def test_all_families_are_drawn_about_equally_often() -> None:
    settings, random = SiameseAugmentation(), torch.Generator().manual_seed(0)
    drawn = [settings.draw(random).family for _ in range(1200)]  # type: ignore[attr-defined]
    for family in FAMILIES:
        assert 150 < drawn.count(family) < 250


def test_flips_are_left_out_where_a_mirrored_example_may_be_of_another_class(digits: dd.TargetData) -> None:
    suited = SiameseAugmentation().suited_to(digits.spec)
    assert suited == SiameseAugmentation(families=("color", "crop", "cutout", "scale", "rotate"))
    assert SiameseAugmentation(families=("flip",)).suited_to(digits.spec) == NoAugmentation()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="color"):
        SiameseAugmentation(families=("blur",))
    with pytest.raises(SettingsError, match="at least one"):
        SiameseAugmentation(families=())
    with pytest.raises(SettingsError, match="scale"):
        SiameseAugmentation(scale=0.5)


def strengths(family: str, parameter: int, read: str) -> Tensor:
    """Return 4000 drawn strengths of an operation, caught where the family hands them over."""
    caught: list[Tensor] = []
    view = SiameseAugmentation(families=(family,)).draw(torch.Generator().manual_seed(0), 4000)
    with pytest.MonkeyPatch.context() as patch:
        original = getattr(operations, read)
        patch.setattr(operations, read, lambda *given: caught.append(given[parameter]) or original(*given))
        view(dd.Batch(images(4000, 1, 2), torch.zeros(4000)))
    return caught[0]


@pytest.mark.parametrize(
    ("family", "read", "parameter", "low", "high"),
    [
        ("color", "brightness", 1, -0.5, 0.5),
        ("color", "saturation", 1, 0.0, 2.0),
        ("color", "contrast", 1, 0.5, 1.5),
        ("scale", "scaling", 0, 1 / 1.2, 1.2),
        ("scale", "scaling", 1, 1 / 1.2, 1.2),
        ("rotate", "rotation", 0, -torch.pi / 12, torch.pi / 12),
    ],
)
def test_strengths_fill_the_published_ranges(family: str, read: str, parameter: int, low: float, high: float) -> None:
    drawn = strengths(family, parameter, read)
    width = high - low
    assert low <= float(drawn.min()) < low + 0.01 * width
    assert high - 0.01 * width < float(drawn.max()) <= high
    assert float(drawn.mean()) == pytest.approx((low + high) / 2, abs=0.02 * width)


@pytest.mark.parametrize(("family", "size"), [("crop", 4), ("cutout", 16)])
def test_translations_and_holes_have_the_published_sizes(family: str, size: int) -> None:
    x = torch.ones(3000, 1, 32, 32)
    out = apply(family, x, count=3000)[:, 0]
    if family == "crop":  # shifts of -4 .. 4 rows, each as often
        empty = (out.amax(dim=2) == 0).sum(dim=1)
        signs = torch.where(out[:, 0].amax(dim=1) == 0, 1, -1)
        shifts = empty * signs
        assert sorted(set(shifts.tolist())) == list(range(-size, size + 1))
        assert all(abs(int((shifts == s).sum()) - 3000 / 9) < 90 for s in range(-size, size + 1))
    else:  # a hole of half the side, its centre anywhere: the border cuts it
        rows = (out == 0).any(dim=2).sum(dim=1)
        assert int(rows.max()) == size and int(rows.min()) == size // 2
