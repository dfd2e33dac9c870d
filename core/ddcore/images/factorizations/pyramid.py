"""`Pyramid`: pixels that are optimised as a sum of levels from coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.factorization.owned import OwnedExamples, owners_of
from ddcore.ground.devices import consecutive
from ddcore.images.factorizations.pixels import PixelExamples, Pixels
from ddcore.images.spec import image_shape
from ddcore.parts import Batch, Examples, Factorization, Run, Spec
from ddcore.settings import require, require_counts

NATURAL_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""A root of the covariance of natural images' colours (Olah et al. 2017)."""


@dataclass(frozen=True)
class Pyramid(Pixels):
    r"""Images are :math:`\sigma\big(2 C \sum_{l < L} u(p_l)\big)`, and are stored as their pixels.

    Level l has sides of :math:`2^l` pixels, at most those of the image; :math:`u` upsamples it
    bilinearly. A run begins with one level. Every ``every`` steps the next one joins: it starts as
    standard normal noise over the new L, and the others are multiplied by (L - 1) / L. :math:`C`
    turns three independent numbers into colours as natural images have them.

    Attributes:
        every: steps from one level to the next. All are there after ``every`` times the levels
            less one.
        decorrelated: whether C is applied to images of three channels. If not, C is the identity.

    Source: Cazenavette et al. 2025 (arXiv:2511.16674) and its code. There the optimiser begins anew
    with every level. Colours: Olah et al. 2017 (doi:10.23915/distill.00007).
    """

    init: str = "noise"
    clip: bool = True
    every: int = 200
    decorrelated: bool = True
    name: ClassVar[str] = "pyramid"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(every=self.every)
        require(self.init == "noise", f"a pyramid begins with noise, not with {self.init!r}")
        require(
            self.labels == "hard" and not self.transform and self.clip,
            "a pyramid's labels are hard, its pixels lie in [0, 1], and it has no transform",
        )

    def as_kind(self, kind: type[Factorization]) -> Factorization | None:
        return None  # levels are of images

    def learning_rates(self) -> dict[str, float]:
        return {"images": 0.05}

    def start(self, run: Run) -> Examples:
        owners = owners_of(self.counts_for(run.real.counts))
        random, channels = run.generator("init"), image_shape(run.spec)[0]
        levels = [
            torch.randn(len(owners), channels, *sides, generator=random, dtype=run.dtype)
            for sides in level_sides(run.spec)
        ]
        return PyramidExamples(self, levels, owners, run.spec)


def level_sides(spec: Spec) -> list[tuple[int, int]]:
    """Return height and width of every level, the coarsest first."""
    _, height, width = image_shape(spec)
    doublings = (max(height, width) - 1).bit_length()
    return [(min(2**level, height), min(2**level, width)) for level in range(doublings + 1)]


class PyramidExamples(OwnedExamples):
    """The levels of a run, sorted by class. ``present`` of them make up the images."""

    def __init__(self, settings: Pyramid, levels: list[Tensor], owners: Tensor, spec: Spec) -> None:
        super().__init__(owners, spec.num_classes)
        self._settings, self._spec = settings, spec
        self.levels = nn.ParameterList(levels)
        self.present = 1
        root = torch.tensor(NATURAL_COLOURS, dtype=levels[0].dtype)
        self.register_buffer("colours", root / root.norm(dim=0).max(), persistent=False)

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        owners, levels = self.get_buffer("owners"), list(self.levels)[: self.present]
        if indices is not None:
            where = consecutive(indices, owners.device)
            owners, levels = owners[where], [level[where] for level in levels]
        size = self._spec.shape[1:]
        total = torch.stack([F.interpolate(level, size=size, mode="bilinear") for level in levels]).sum(dim=0)
        if self._settings.decorrelated and total.shape[1] == 3:
            total = torch.einsum("ij,njhw->nihw", self.get_buffer("colours"), total)
        return Batch(self._spec.normalisation.apply((2 * total).sigmoid(), total.dtype), owners)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"images": list(self.levels)}

    def after_step(self, step: int) -> None:
        wanted = min(1 + step // self._settings.every, len(self.levels))
        with torch.no_grad():
            while self.present < wanted:
                for level in list(self.levels)[: self.present]:
                    level.mul_(self.present / (self.present + 1))
                self.levels[self.present].div_(self.present + 1)
                self.present += 1

    def get_extra_state(self) -> Tensor:
        """Return how many levels there are so far."""
        return torch.tensor(self.present)

    def set_extra_state(self, state: Any) -> None:
        """Take up the state of `get_extra_state`."""
        self.present = int(state)

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        with torch.no_grad():
            images = self.decode().inputs
        owners = self.get_buffer("owners")
        return PixelExamples(self._settings, images, owners, None, self._spec).stored(storage)
