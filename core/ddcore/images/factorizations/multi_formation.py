"""`MultiFormation`: one stored image holds several examples at a lower resolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.errors import SettingsError, SummaryFormatError
from ddcore.factorization.numbers import STORAGE, check_storage
from ddcore.factorization.owned import OwnedExamples, owners_of, stored_items
from ddcore.factorization.span import dequantise, quantise
from ddcore.ground.devices import consecutive
from ddcore.labels.class_ids import ids_bytes
from ddcore.parts import Batch, CoresetRule, Examples, Factorization, Ipc, Run, Spec, check_ipc, counts_within
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class MultiFormation(Factorization):
    """A stored image is cut into ``factor x factor`` tiles.

    Each tile, upsampled bilinearly to full size, is an example. Stored values are pixels in [0, 1].
    They are clamped every ``clamp_every`` steps and when they are stored. A side that ``factor``
    does not divide is padded with .5 at its end before it is cut.

    Attributes:
        ipc: *stored* images per class, one number or one per class id. Each gives ``factor ** 2``
            examples.
        factor: tiles along each side; 1: stored images are the examples.
        init: ``noise`` (mean .5, standard deviation .25), or a coreset rule: its images, shrunk,
            fill the tiles.
        storage: ``float32``, ``fp16`` or ``uint8``.
        clamp_every: steps from one clamping to [0, 1] to the next.

    Source: Kim et al. 2022 (arXiv:2205.14959), section 4.1; survey, equation 9.
    """

    ipc: Ipc = field(default=10, hash=False)
    factor: int = 2
    init: str | CoresetRule = "random"
    storage: str = "float32"
    clamp_every: int = 1
    name: ClassVar[str] = "multi_formation"
    modality: ClassVar[str | None] = "images"

    def __post_init__(self) -> None:
        check_storage(self.storage)
        check_ipc(self.ipc)
        require_counts(factor=self.factor, clamp_every=self.clamp_every)
        require(self.factor <= 64, f"factor must lie in 1..64, not {self.factor}")
        if self.init != "noise":
            as_rule(self.init)

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return {c: n * self.factor**2 for c, n in self._images_for(available).items()}

    def _images_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

    def unit_tensors(self) -> frozenset[str]:
        return frozenset({"images"})

    def learning_rates(self) -> dict[str, float]:
        return {"images": 0.02}

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        n = sum(self._images_for(available).values())
        return n * math.prod(spec.shape) * STORAGE[self.storage].itemsize + ids_bytes(n, spec.num_classes)

    def start(self, run: Run) -> Examples:
        self._check_size(run.spec)
        counts = self._images_for(run.real.counts)
        random = run.generator("init")
        if self.init == "noise":
            noise = torch.randn(sum(counts.values()), *run.spec.shape, generator=random, dtype=run.dtype)
            images = noise.div(4).add(0.5).clamp(0, 1)
        else:
            images = self._mosaics(run, as_rule(self.init), counts, random)
        return TileExamples(images, owners_of(counts), run.spec, self.factor, self.storage, self.clamp_every)

    def _mosaics(self, run: Run, rule: CoresetRule, counts: Mapping[int, int], random: torch.Generator) -> Tensor:
        """Return stored images whose tiles are shrunk real images.

        A class with too few of them repeats some.
        """
        tiles = self.factor**2
        wanted = {c: min(n * tiles, run.real.counts[c]) for c, n in counts.items()}
        chosen, sides = run.real.select(rule, wanted, random), _tile_sides(run.spec.shape, self.factor)
        mosaics = []
        for class_id, count in counts.items():
            pixels = run.spec.normalisation.invert(chosen[class_id].inputs.to("cpu", run.dtype)).clamp(0, 1)
            small = F.interpolate(pixels, size=sides, mode="bilinear", antialias=True) if self.factor > 1 else pixels
            order = torch.arange(count * tiles) % len(small)
            mosaics.append(_join(small[order].clamp(0, 1), self.factor, run.spec.shape))
        return torch.cat(mosaics)

    def _check_size(self, spec: Spec) -> None:
        sides = spec.shape[1:]
        # The last row and column of tiles must begin inside the image.
        fits = all(side >= 2 * self.factor and -(-side // self.factor) * (self.factor - 1) < side for side in sides)
        require(
            len(spec.shape) == 3 and fits,
            f"images of shape {spec.shape} cannot be cut into {self.factor} x {self.factor} tiles of 2 px or more, none of them empty",
        )

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> TileExamples:
        if set(stored) != {"images", "classes"}:
            raise SummaryFormatError(f"multi-formation stores classes and images, found {sorted(stored)[:5]}")
        try:
            self._check_size(spec)
        except SettingsError as error:
            raise SummaryFormatError(str(error)) from error
        dtype = STORAGE[self.storage]
        images, owners, _ = stored_items(stored, "images", spec.shape, dtype, spec.num_classes)
        pixels = dequantise(images) if self.storage == "uint8" else images.float()
        if not bool(((pixels >= 0) & (pixels <= 1)).all()):
            raise SummaryFormatError("the stored pixels do not lie in [0, 1]")
        return TileExamples(pixels, owners, spec, self.factor, self.storage, self.clamp_every)

    def decoder(self) -> dict[str, Any]:
        return {"factor": self.factor, "storage": self.storage}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> MultiFormation:
        if set(settings) != {"factor", "storage"} or type(settings["factor"]) is not int:
            raise SummaryFormatError(f"multi-formation records factor and storage, found {sorted(settings)[:5]}")
        return cls(factor=settings["factor"], storage=settings["storage"])

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        return replace(self, storage=to), self.restore(stored, spec).stored(to)


class TileExamples(OwnedExamples):
    """Stored images in [0, 1], sorted by class.

    Example ``i`` is tile ``i % factor**2`` of image ``i // factor**2``.
    """

    def __init__(
        self, images: Tensor, owners: Tensor, spec: Spec, factor: int, storage: str, clamp_every: int = 1
    ) -> None:
        super().__init__(owners, spec.num_classes, factor**2)
        self.register_buffer("every", torch.arange(len(owners) * factor**2), persistent=False)
        self._clamp_every = clamp_every
        self.images = nn.Parameter(images.clone())
        self._spec, self._factor, self._storage = spec, factor, storage

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        tiles_each, owners = self._factor**2, self.get_buffer("owners")
        every = self.get_buffer("every")
        where = every if indices is None else every[consecutive(indices, self.images.device)]
        images = where // tiles_each
        tiles = _tile(self.images[images], where % tiles_each, self._factor)
        size = self._spec.shape[1:]
        pixels = F.interpolate(tiles, size=size, mode="bilinear") if self._factor > 1 else tiles
        return Batch(self._spec.normalisation.apply(pixels, pixels.dtype), owners[images])

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"images": [self.images]}

    def after_step(self, step: int) -> None:
        if (step + 1) % self._clamp_every == 0:
            with torch.no_grad():
                self.images.clamp_(0, 1)

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        storage = storage or self._storage
        pixels = self.images.detach().cpu().clamp(0, 1)
        images = quantise(pixels) if storage == "uint8" else pixels.to(STORAGE[storage])
        return {"images": images.contiguous().clone(), "classes": self.packed_owners()}


def _tile_sides(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    return -(-shape[1] // factor), -(-shape[2] // factor)


def _tile(images: Tensor, which: Tensor, factor: int) -> Tensor:
    """Return one tile of each image, by its place in rows of ``factor`` tiles."""
    n, channels, height, width = images.shape
    rows, columns = _tile_sides(tuple(images.shape[1:]), factor)
    padding = (0, columns * factor - width, 0, rows * factor - height)
    padded = F.pad(images, padding, value=0.5) if any(padding) else images
    tiles = padded.reshape(n, channels, factor, rows, factor, columns).permute(0, 2, 4, 1, 3, 5)
    return tiles.flatten(1, 2)[torch.arange(n, device=images.device), which]


def _join(tiles: Tensor, factor: int, shape: tuple[int, ...]) -> Tensor:
    """Put tiles together to images of ``shape``.

    It undoes `_tile`, and cuts off the padding.
    """
    channels, height, width = shape
    rows, columns = tiles.shape[2:]
    grid = tiles.reshape(-1, factor, factor, channels, rows, columns).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(-1, channels, rows * factor, columns * factor)[:, :, :height, :width]
