"""`LinearBases`: every example is a linear combination of bases that all classes share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.factorization.shared_decoder import MAX_SIZE, Decoding, SharedDecoder
from ddcore.images.spec import image_shape
from ddcore.parts import CoresetRule, Ipc, Run, Spec
from ddcore.settings import require


@dataclass(frozen=True)
class LinearBases(SharedDecoder):
    r"""Example :math:`i` of class :math:`c` is :math:`\mathrm{up}(h_{c,i}^T B)`.

    These are coefficients times bases, enlarged bilinearly.

    Attributes:
        ipc: coefficient vectors, so examples, per class.
        bases: number of rows of :math:`B`; a budget of bytes chooses it where it is 16.
        factor: how much smaller along each side than the data the bases are.
        init: a coreset rule: bases are the principal directions of the chosen images (not centred),
            coefficients their projections, of unit variance. Or ``noise``: both uniform as Glorot &
            Bengio initialise weights.
        storage: ``float32``, ``fp16`` or ``uint8``.

    Source: Deng & Russakovsky 2022 (arXiv:2206.02916); survey, equation 13. Their code adds a norm
    of the coefficients to the inner loss. It has no gradient there, and is left out here.
    """

    ipc: Ipc = field(default=115, hash=False)
    bases: int = 16
    factor: int = 2
    init: str | CoresetRule = "random"
    storage: str = "float32"
    name: ClassVar[str] = "linear_bases"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "coefficients"
    shared: ClassVar[str] = "bases"
    sizes: ClassVar[tuple[str, ...]] = ("bases", "factor")
    grows: ClassVar[str] = "bases"

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        return (self.bases,)

    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        return {"bases": torch.empty(self.bases, *self._small(spec), device="meta")}

    def _small(self, spec: Spec) -> tuple[int, ...]:
        channels, *sides = image_shape(spec)
        require(min(sides) >= self.factor, f"images of shape {spec.shape} cannot be {self.factor} times smaller")
        return (channels, *(-(-side // self.factor) for side in sides))

    def most(self, spec: Spec) -> int:
        return min(MAX_SIZE, math.prod(self._small(spec)))

    def learning_rates(self) -> dict[str, float]:
        return {"coefficients": 0.05, "bases": 0.02}

    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        n, small, random = sum(counts.values()), self._small(run.spec), run.generator("init")
        chosen = None if self.init == "noise" else run.real.select(as_rule(self.init), counts, random)
        coefficients, bases = (torch.empty(shape, dtype=run.dtype) for shape in ((n, self.bases), (self.bases, *small)))
        for tensor in (coefficients, bases):
            nn.init.xavier_uniform_(tensor.flatten(1), generator=random)
        if chosen is not None:
            images = torch.cat([chosen[c].inputs.to("cpu", run.dtype) for c in counts])
            images = F.interpolate(images, size=small[1:], mode="bilinear", antialias=True)
            left, scales, right = torch.linalg.svd(images.flatten(1).double(), full_matrices=False)
            k = min(self.bases, len(scales))
            coefficients[:, :k] = (left[:, :k] * math.sqrt(n)).to(run.dtype)
            bases.view(self.bases, -1)[:k] = (scales[:k, None] * right[:k] / math.sqrt(n)).to(run.dtype)
        return coefficients, {"bases": bases}

    def decoding(self, spec: Spec) -> Decoding:
        small, size = self._small(spec), spec.shape[1:]

        def decode(items: Tensor, owners: Tensor, which: Tensor, shared: Mapping[str, Tensor]) -> Tensor:
            images = (items @ shared["bases"].flatten(1)).view(-1, *small)
            return images if self.factor == 1 else F.interpolate(images, size=size, mode="bilinear")

        return decode
