"""`Frequencies`: every example is a few of its cosine coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from ddcore.coresets import CoresetRule, as_rule
from ddcore.engine.devices import to_device
from ddcore.errors import SummaryFormatError
from ddcore.factorization.budget import Ipc
from ddcore.factorization.hallucinator_bases import Decoding, HallucinatorBases
from ddcore.factorization.linear_bases import image_shape
from ddcore.settings import require

if TYPE_CHECKING:
    from ddcore.data import Spec
    from ddcore.run import Run


@dataclass(frozen=True)
class Frequencies(HallucinatorBases):
    r"""An example is :math:`D_h^T F D_w` in each channel: the inverse cosine transform of coefficients under a mask of its class.

    :math:`D` is the orthonormal DCT-II. The mask is chosen once and stored as bits.

    Attributes:
        ipc: examples per class.
        kept: coefficients per channel; where it is 64, a budget of bytes takes fewer from small images: three eighths of them.
        init: a coreset rule: each class keeps the coefficients in which its chosen images have most energy, and begins with those images;
            or ``noise``: standard normal coefficients of the lowest frequencies.
        storage: ``float32``, ``fp16`` or ``uint8``.

    Source: Shin et al. 2023 (arXiv:2311.08819). There the coefficients of largest variance are kept, and the transform is not orthonormal; with few
    images per class their energy is the safer choice: what all images of a class share would be lost.
    """

    ipc: Ipc = field(default=16, hash=False)
    kept: int = 64
    init: str | CoresetRule = "random"
    storage: str = "float32"
    name: ClassVar[str] = "frequencies"
    items: ClassVar[str] = "coefficients"
    shared: ClassVar[str] = "mask"
    sizes: ClassVar[tuple[str, ...]] = ("kept",)
    grows: ClassVar[str] = "kept"

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        channels, height, width = image_shape(spec)
        require(self.kept <= height * width, f"{self.kept} coefficients are more than {spec.shape} has per channel")
        return (channels, self.kept)

    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        _, height, width = image_shape(spec)
        return {"mask": torch.empty(spec.num_classes, -(-height * width // 8), dtype=torch.uint8, device="meta")}

    def within(self, nbytes: int, spec: Spec, available: Mapping[int, int]) -> Self:
        _, height, width = image_shape(spec)
        kept = min(self.kept, max(1, 3 * height * width // 8)) if self.kept == Frequencies.kept else self.kept
        return super(HallucinatorBases, replace(self, kept=kept)).within(nbytes, spec, available)

    def learning_rates(self) -> dict[str, float]:
        return {"coefficients": 0.1}

    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        channels, height, width = image_shape(run.spec)
        random = run.generator("init")
        order = torch.zeros(run.spec.num_classes, height * width, dtype=torch.long)
        if self.init == "noise":
            distance = (torch.arange(height)[:, None] ** 2 + torch.arange(width) ** 2).flatten()
            order[list(counts)] = distance.argsort(stable=True)
            coefficients = torch.randn(sum(counts.values()), channels, self.kept, generator=random, dtype=torch.float64)
            kept = order[:, : self.kept].sort(dim=1).values
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            transformed = {c: dct(chosen[c].to("cpu", torch.float64)).flatten(2) for c in counts}
            for class_id, f in transformed.items():
                order[class_id] = f.square().mean(dim=(0, 1)).argsort(descending=True, stable=True)
            kept = order[:, : self.kept].sort(dim=1).values
            coefficients = torch.cat([f[:, :, kept[c]] for c, f in transformed.items()])
        bits = torch.zeros_like(order, dtype=torch.uint8)
        for class_id in counts:
            bits[class_id, kept[class_id]] = 1
        return coefficients.to(run.dtype), {"mask": _pack_bits(bits)}

    def check_shared(self, shared: Mapping[str, Tensor], owners: Tensor, spec: Spec) -> None:
        _, height, width = image_shape(spec)
        bits = _unpack_bits(shared["mask"])
        if bool(bits[:, height * width :].any()) or bool((bits[owners].sum(dim=1) != self.kept).any()):
            raise SummaryFormatError(f"a class's mask must keep {self.kept} coefficients of {height * width}")

    def decoding(self, spec: Spec) -> Decoding:
        channels, height, width = image_shape(spec)

        def decode(items: Tensor, owners: Tensor, which: Tensor, shared: Mapping[str, Tensor]) -> Tensor:
            bits = _unpack_bits(shared["mask"])[owners]
            # The set bits in ascending order, without a look at how many there are.
            places = bits.argsort(dim=1, descending=True, stable=True)[:, : self.kept]
            flat = torch.zeros(len(items), channels, height * width, dtype=items.dtype, device=items.device)
            flat = flat.scatter(2, places.unsqueeze(1).expand_as(items), items)
            return inverse_dct(flat.view(-1, channels, height, width))

        return decode


def dct(images: Tensor) -> Tensor:
    """Return the orthonormal DCT-II of the last two dimensions."""
    rows, columns = (_matrix(side).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def inverse_dct(coefficients: Tensor) -> Tensor:
    """Return what `dct` transforms into ``coefficients``."""
    rows, columns = (_matrix(side).to(coefficients) for side in coefficients.shape[-2:])
    images: Tensor = rows.T @ coefficients @ columns
    return images


@lru_cache(maxsize=16)
def _matrix(side: int) -> Tensor:
    places = torch.arange(side, dtype=torch.float64)
    matrix: Tensor = torch.cos(torch.pi / side * (places + 0.5) * places[:, None]) * (2 / side) ** 0.5
    matrix[0] /= 2**0.5
    return matrix


def _pack_bits(bits: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(bits, (0, -bits.shape[1] % 8))
    packed: Tensor = (padded.view(len(bits), -1, 8) << torch.arange(8, dtype=torch.uint8)).sum(2, dtype=torch.uint8)
    return packed


def _unpack_bits(packed: Tensor) -> Tensor:
    shifts: Tensor = to_device(torch.arange(8, dtype=torch.uint8), packed.device)
    bits: Tensor = packed.unsqueeze(2).bitwise_right_shift(shifts).bitwise_and(1).flatten(1)
    return bits
