from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

import ddcore as dd
from ddcore.errors import SettingsError
from ddcore.images import OneMove
from ddcore.images.augmentation.one_move import OneMoveView


def moved(images: torch.Tensor, which: int, first: float, second: float = 0.5) -> torch.Tensor:
    view = OneMoveView(OneMove(), torch.tensor([which]), torch.tensor([[first], [second]], dtype=torch.float64))
    return view(dd.Batch(images, torch.zeros(len(images)))).inputs


def blob(side: int = 28) -> torch.Tensor:
    rows = torch.arange(side, dtype=torch.float64)
    return torch.exp(-((rows.view(-1, 1) - 12) ** 2 / 18 + (rows - 17) ** 2 / 8)).view(1, 1, side, side)


def test_a_shift_is_a_crop_of_the_padded_image() -> None:
    image = torch.randn(1, 2, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
    for first, down in ((0.0, -4), (0.5, 0), (0.999, 4)):
        wanted = padded[:, :, 4 + down : 32 + down, 4 - 4 : 32 - 4]
        assert torch.allclose(moved(image, 0, first, 0.0), wanted, atol=1e-9)


@pytest.mark.parametrize(("first", "degrees"), [(0.0, -45), (0.75, 22.5), (1.0, 45)])
def test_a_turn_is_scipys(first: float, degrees: float) -> None:
    image = blob()
    wanted = ndimage.rotate(image[0, 0].numpy(), degrees, reshape=False, order=1)
    other = ndimage.rotate(image[0, 0].numpy(), -degrees, reshape=False, order=1)
    got = moved(image, 2, first)[0, 0].numpy()
    assert np.abs(got - wanted).max() < 0.02 < np.abs(got - other).max()


@pytest.mark.parametrize(("first", "second", "factors"), [(0.0, 1.0, (1.2, 0.8)), (1.0, 0.5, (1.0, 1.2))])
def test_a_scale_makes_things_that_much_larger(first: float, second: float, factors: tuple[float, float]) -> None:
    image = blob(56)
    image = image.roll((56 // 2 - 12, 56 // 2 - 17), (2, 3))

    def spreads(picture: torch.Tensor) -> list[float]:
        share = picture[0, 0] / picture.sum()
        places = torch.arange(56, dtype=torch.float64)
        found = []
        for axis in (1, 0):
            along = share.sum(dim=axis)
            centre = (along * places).sum()
            found.append(float((along * (places - centre) ** 2).sum().sqrt()))
        return found

    before, after = spreads(image), spreads(moved(image, 1, first, second))
    assert [a / b for a, b in zip(after, before, strict=True)] == pytest.approx(factors, rel=0.03)


def test_every_image_has_one_of_three_moves_of_its_own() -> None:
    view = OneMove().draw(torch.Generator().manual_seed(0), 3000)
    assert isinstance(view, OneMoveView)
    assert all(900 < int((view.which == kind).sum()) < 1100 for kind in range(3))
    images = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(40, -1, -1, -1)
    out = OneMove().draw(torch.Generator().manual_seed(1), 40)(dd.Batch(images, torch.zeros(40))).inputs
    assert len({tuple(o.flatten().tolist()) for o in out}) > 35
    with pytest.raises(SettingsError, match="scale"):
        OneMove(scale=1.0)
