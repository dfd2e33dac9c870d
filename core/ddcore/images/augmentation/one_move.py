"""Each image is shifted, scaled or turned.

DC is evaluated with this augmentation on grey images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.ground.devices import to_device
from ddcore.images.augmentation import operations
from ddcore.images.spec import ImageSpec
from ddcore.parts import Augmentation, Batch, NoAugmentation, Spec, View
from ddcore.settings import require


@dataclass(frozen=True)
class OneMove(Augmentation):
    """One of three moves with equal chance: a shift by whole pixels, a scale for each axis, a turn.

    Every image has a move of its own, unless one draw is shared. All three resample bilinearly,
    with zeros outside.

    Attributes:
        shift: the largest, in pixels, to either side.
        scale: factors lie within ``1 - scale`` and ``1 + scale``.
        turn: the largest angle, in degrees, to either side.

    Source: the code of Zhao et al. 2021 (arXiv:2006.05929). It scales to nearest pixels, turns by
    cubic splines, fills with the batch's mean, and shifts by 4 pixels to one side and 3 to the
    other.
    """

    shift: int = 4
    scale: float = 0.2
    turn: float = 45.0
    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        require(0 <= self.shift <= 2**16 and 0 <= self.turn <= 360, "shift lies in 0..65536, turn in [0, 360]")
        require(0 <= self.scale < 1, f"scale must lie in [0, 1), not {self.scale}")

    def suited_to(self, spec: Spec) -> Augmentation:
        return self if isinstance(spec, ImageSpec) else NoAugmentation()

    def draw(self, generator: torch.Generator, count: int | None = None) -> View:
        n = count or 1
        which = torch.randint(3, (n,), generator=generator)
        return OneMoveView(self, which, torch.rand(2, n, generator=generator, dtype=torch.float64))


@dataclass(frozen=True)
class OneMoveView(View):
    """One draw: which move each image has, and two uniform numbers for its size.

    Moves are 0 (shift), 1 (scale) and 2 (turn).
    """

    settings: OneMove
    which: Tensor
    uniform: Tensor

    def matrices(self, sides: Any) -> Tensor:
        """Return ``n x 2 x 3`` maps from output to input coordinates.

        ``sides`` are the height and width of the images.
        """
        s, (first, second) = self.settings, self.uniform
        zero, one = torch.zeros_like(first), torch.ones_like(first)
        down, right = ((u * (2 * s.shift + 1)).floor() - s.shift for u in (first, second))
        shifted = torch.stack([one, zero, right * 2 / sides[1], zero, one, down * 2 / sides[0]], dim=1).view(-1, 2, 3)
        # An image that is drawn larger is sampled on a smaller grid.
        factors = (1 / (1 - s.scale + 2 * s.scale * u) for u in (first, second))
        scaled = operations.scaling(*factors)
        # Coordinates run from -1 to 1 along either side, whatever its length.
        shape = torch.tensor([[1.0, sides[0] / sides[1], 1.0], [sides[1] / sides[0], 1.0, 1.0]], dtype=torch.float64)
        turned = operations.rotation((2 * first - 1) * math.radians(s.turn)) * shape
        chosen = torch.stack([shifted, scaled, turned])
        return chosen[self.which, torch.arange(len(self.which))]

    def __call__(self, batch: Batch) -> Batch:
        matrices = self.matrices(batch.inputs.shape[2:])
        return replace(batch, inputs=operations.affine(batch.inputs, to_device(matrices, batch.inputs.device)))
