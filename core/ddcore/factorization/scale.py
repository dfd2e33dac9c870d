"""Scales: the few values on which stored numbers lie. Levels of a span, or colours of a palette."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MOST_PIXELS = 2**16
"""Pixels that are clustered, of all of them."""
MOST_DISTANCES = 2**22
"""Between pixels and colours, that are held at once."""


@dataclass(frozen=True)
class Levels:
    r"""Evenly spaced values: level :math:`q` is :math:`a + q (b - a)/(L - 1)`.

    Attributes:
        count: L, at least 2.
        low, high: a and b.
    """

    count: int
    low: Tensor | float = 0.0
    high: Tensor | float = 1.0

    @classmethod
    def spanning(cls, numbers: Tensor, count: int) -> Levels:
        """Return the levels of the smallest span of positive length that holds all numbers."""
        low, high = numbers.detach().float().aminmax()
        return cls(count, low, torch.where(high > low, high, low + low.abs().clamp(min=1)))

    @property
    def lowest(self) -> Tensor | float:
        """The value of level 0."""
        return self.low

    def read(self) -> Levels:
        """Return the same with a span of Python's numbers, in single precision."""
        return Levels(self.count, float(self.low), float(self.high))

    def holds(self, numbers: Tensor) -> bool:
        """Whether all numbers lie in the span, up to half a level."""
        half = (self.high - self.low) / (2 * (self.count - 1))
        return bool(self.low - half <= numbers.min()) and bool(numbers.max() <= self.high + half)

    def places(self, numbers: Tensor) -> Tensor:
        """Return the nearest levels, 0 .. L - 1, as floats."""
        exact = numbers.detach().sub(self.low).mul((self.count - 1) / (self.high - self.low))
        return exact.round().clamp(0, self.count - 1)

    def numbers(self, places: Tensor) -> Tensor:
        """Return the values of levels."""
        return places.div(self.count - 1).mul(self.high - self.low).add(self.low)


@dataclass(frozen=True)
class Palette:
    """Colours, from dark to bright. A pixel lies on one place, whatever its channels.

    Attributes:
        colours: ``count x channels`` multiples of 1/255 in [0, 1].
    """

    colours: Tensor

    @classmethod
    def of(cls, pixels: Tensor, count: int) -> Palette:
        """Return the colours that lie nearest to pixels: the centres of their clusters.

        Args:
            pixels: in [0, 1], ``items x channels x rows x columns``.
            count: how many colours.
        """
        flat = _rows(pixels).cpu()
        kept = flat[torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))[:MOST_PIXELS]]
        distinct, often = np.unique(as_bytes(kept).numpy(), axis=0, return_counts=True)
        centres = distinct[np.arange(count) % len(distinct)]
        if len(distinct) > count:
            centres = _centres(distinct, often, count)
        ordered = centres[np.lexsort((*centres.T, centres.sum(1)))]
        return cls(torch.from_numpy(ordered).to(pixels).round().div(255))

    @property
    def lowest(self) -> Tensor:
        """The darkest colour, for pixels ``items x channels x rows x columns``."""
        return self.colours[0].view(-1, 1, 1)

    def places(self, numbers: Tensor) -> Tensor:
        """Return each pixel's nearest colour, ``items x 1 x rows x columns``, as floats."""
        parts = _rows(numbers).split(max(1, MOST_DISTANCES // len(self.colours)))
        near = [(part.unsqueeze(1) - self.colours).square().sum(2).argmin(1) for part in parts]
        return torch.cat(near).view(len(numbers), 1, *numbers.shape[2:]).to(numbers.dtype)

    def numbers(self, places: Tensor) -> Tensor:
        """Return the pixels of ``items x 1 x rows x columns`` places."""
        return self.colours[places[:, 0].long()].movedim(-1, 1)


Scale = Levels | Palette


def as_bytes(numbers: Tensor) -> Tensor:
    """Return numbers in [0, 1] as bytes."""
    return numbers.float().mul(255).round().clamp(0, 255).to(torch.uint8)


def _rows(pixels: Tensor) -> Tensor:
    """Return a row per pixel."""
    return pixels.detach().movedim(1, -1).flatten(0, -2)


def _centres(distinct: np.ndarray, often: np.ndarray, count: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells where it would like fewer threads
        lloyd = KMeans(count, n_init=1, random_state=0).fit(distinct.astype(np.float64), sample_weight=often)
    found: np.ndarray = lloyd.cluster_centers_
    return found
