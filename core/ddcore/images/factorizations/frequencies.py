"""`Frequencies`: every example is a few of its cosine coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar, Self

import torch
from torch import Tensor

from ddcore.coresets import as_rule
from ddcore.errors import SummaryFormatError
from ddcore.factorization.shared_decoder import Decoding, SharedDecoder
from ddcore.images.spec import image_shape
from ddcore.parts import CoresetRule, Ipc, Run, Spec
from ddcore.settings import require

MAX_PLACES = 2**24
"""Places of coefficients that are held in memory, for all classes."""


@dataclass(frozen=True)
class Frequencies(SharedDecoder):
    r"""An example is :math:`D_h^T F D_w` in each channel.

    This is the inverse cosine transform of coefficients :math:`F` under a mask of its class.
    :math:`D` is the orthonormal DCT-II. The mask is chosen once and stored as bits.

    Attributes:
        ipc: examples per class.
        kept: coefficients per channel. Where it is 64, a budget of bytes takes fewer from small
            images: three eighths of them.
        init: a coreset rule: each class keeps the coefficients in which its chosen images have most
            energy, and begins with those images. Or ``noise``: standard normal coefficients of the
            lowest frequencies.
        storage: ``float32``, ``fp16`` or ``uint8``.

    Source: Shin et al. 2023 (arXiv:2311.08819). There the coefficients of largest variance are
    kept, and the transform is not orthonormal. With few images per class their energy is the safer
    choice: by variance, what all images of a class share would be lost.
    """

    ipc: Ipc = field(default=16, hash=False)
    kept: int = 64
    init: str | CoresetRule = "random"
    storage: str = "float32"
    name: ClassVar[str] = "frequencies"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "coefficients"
    shared: ClassVar[str] = "mask"
    sizes: ClassVar[tuple[str, ...]] = ("kept",)
    grows: ClassVar[str] = "kept"

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        channels, height, width = image_shape(spec)
        require(self.kept <= height * width, f"{self.kept} coefficients are more than {spec.shape} has per channel")
        require(
            self.kept * spec.num_classes <= MAX_PLACES,
            f"{self.kept} coefficients for each of {spec.num_classes} classes are too many: lower kept",
        )
        return (channels, self.kept)

    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        _, height, width = image_shape(spec)
        return {"mask": torch.empty(spec.num_classes, -(-height * width // 8), dtype=torch.uint8, device="meta")}

    def within(self, nbytes: int, spec: Spec, available: Mapping[int, int]) -> Self:
        _, height, width = image_shape(spec)
        kept = min(self.kept, max(1, 3 * height * width // 8)) if self.kept == Frequencies.kept else self.kept
        return super(SharedDecoder, replace(self, kept=kept)).within(nbytes, spec, available)

    def learning_rates(self) -> dict[str, float]:
        return {"coefficients": 0.1}

    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        channels, height, width = image_shape(run.spec)
        random = run.generator("init")
        if self.init == "noise":
            distance = (torch.arange(height)[:, None] ** 2 + torch.arange(width) ** 2).flatten()
            order = dict.fromkeys(counts, distance.argsort(stable=True))
            shape = (sum(counts.values()), channels, self.kept)
            coefficients = torch.randn(shape, generator=random, dtype=torch.float64)
            places = self._places(order, run.spec)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            transformed = {c: dct(chosen[c].inputs.to("cpu", torch.float64)).flatten(2) for c in counts}
            energies = {c: f.square().mean(dim=(0, 1)) for c, f in transformed.items()}
            places = self._places({c: e.argsort(descending=True, stable=True) for c, e in energies.items()}, run.spec)
            coefficients = torch.cat([f[:, :, places[c]] for c, f in transformed.items()])
        return coefficients.to(run.dtype), {"mask": places}

    def _places(self, order: Mapping[int, Tensor], spec: Spec) -> Tensor:
        """Return, for each class id, where its coefficients stand in a channel, ascending.

        They are the first of an order. Other classes have -1.
        """
        places = torch.full((spec.num_classes, self.kept), -1)
        for class_id, ranked in order.items():
            places[class_id] = ranked[: self.kept].sort().values
        return places

    def from_stored(self, shared: dict[str, Tensor], owners: Tensor, spec: Spec) -> dict[str, Tensor]:
        _, height, width = image_shape(spec)
        bits = _unpack_bits(shared["mask"])
        wanted = torch.zeros(spec.num_classes, dtype=torch.long)
        wanted[owners.unique()] = self.kept
        if bool(bits[:, height * width :].any()) or not torch.equal(bits.sum(dim=1), wanted):
            raise SummaryFormatError(f"the mask of a class must keep {self.kept} coefficients of {height * width}")
        places = torch.full((spec.num_classes, self.kept), -1)
        places[wanted > 0] = bits.nonzero()[:, 1].view(-1, self.kept)
        return {"mask": places}

    def to_stored(self, shared: dict[str, Tensor], spec: Spec) -> dict[str, Tensor]:
        _, height, width = image_shape(spec)
        places = shared["mask"].cpu()
        bits = torch.zeros(spec.num_classes, height * width, dtype=torch.uint8)
        held = (places[:, 0] >= 0).nonzero().squeeze(1)
        bits[held.unsqueeze(1), places[held]] = 1
        return {"mask": _pack_bits(bits)}

    def decoding(self, spec: Spec) -> Decoding:
        channels, height, width = image_shape(spec)

        def decode(items: Tensor, owners: Tensor, which: Tensor, shared: Mapping[str, Tensor]) -> Tensor:
            places = shared["mask"][owners]
            flat = torch.zeros(len(items), channels, height * width, dtype=items.dtype, device=items.device)
            flat = flat.scatter(2, places.unsqueeze(1).expand_as(items), items)
            return inverse_dct(flat.view(-1, channels, height, width))

        return decode


def dct(images: Tensor) -> Tensor:
    """Return the orthonormal DCT-II of the last two dimensions."""
    rows, columns = (_matrix(side, images.dtype, images.device) for side in images.shape[-2:])
    return rows @ images @ columns.T


def inverse_dct(coefficients: Tensor) -> Tensor:
    """Return what `dct` transforms into ``coefficients``."""
    rows, columns = (_matrix(side, coefficients.dtype, coefficients.device) for side in coefficients.shape[-2:])
    images: Tensor = rows.T @ coefficients @ columns
    return images


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _matrix(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the orthonormal matrix; kept on its device, so that no step waits for a copy."""
    places = torch.arange(side, dtype=torch.float64)
    matrix: Tensor = torch.cos(torch.pi / side * (places + 0.5) * places[:, None]) * (2 / side) ** 0.5
    matrix[0] /= 2**0.5
    return matrix.to(device, dtype)


def _pack_bits(bits: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(bits, (0, -bits.shape[1] % 8))
    packed: Tensor = (padded.view(len(bits), -1, 8) << torch.arange(8, dtype=torch.uint8)).sum(2, dtype=torch.uint8)
    return packed


def _unpack_bits(packed: Tensor) -> Tensor:
    shifts = torch.arange(8, dtype=torch.uint8)
    bits: Tensor = packed.unsqueeze(2).bitwise_right_shift(shifts).bitwise_and(1).flatten(1)
    return bits
