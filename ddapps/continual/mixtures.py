"""Convex combinations of pairs of real examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ddcore.coresets import RandomSelection
from ddcore.errors import BudgetError
from ddcore.factorization import OwnedExamples, owners_of
from ddcore.images import Pixels
from ddcore.parts import Batch, Examples, Factorization

if TYPE_CHECKING:
    from ddcore.parts import Run


@dataclass(frozen=True)
class PairMixtures(Pixels):
    r"""Every example is a mixture of two real ones. The mixed images are what is stored.

    Each real example is in one pair.

    .. math:: x_i = \frac{w_{i1} a_i + w_{i2} b_i}{w_{i1} + w_{i2}}, \quad w > 0

    The weights alone are optimised, all 1/2 at first.

    Source: Sangermano et al. 2022 (arXiv:2206.11849).
    """

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        counts = super().counts_for(available)
        short = [c for c, n in counts.items() if 2 * n > available[c]]
        if short:
            raise BudgetError(
                f"{counts[short[0]]} mixtures of class {short[0]} need as many pairs, it has {available[short[0]]} examples"
            )
        return counts

    def loader(self) -> type[Factorization]:
        return Pixels

    def start(self, run: Run) -> Examples:
        counts = self.counts_for(run.real.counts)
        chosen = run.real.select(RandomSelection(), {c: 2 * n for c, n in counts.items()}, run.generator("init"))
        pairs = torch.cat([chosen[c].inputs.to("cpu", run.dtype).unflatten(0, (n, 2)) for c, n in counts.items()])
        return _Mixed(pairs, owners_of(counts), run.spec.num_classes)


class _Mixed(OwnedExamples):
    def __init__(self, pairs: Tensor, owners: Tensor, num_classes: int) -> None:
        super().__init__(owners, num_classes)
        self.register_buffer("pairs", pairs)
        self.mixing = nn.Parameter(torch.full((len(pairs), 2), 0.5, dtype=pairs.dtype))

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        where = torch.arange(len(self.mixing)) if indices is None else indices
        where = where.to(self.mixing.device)
        shares = self.mixing[where] / self.mixing[where].sum(dim=1, keepdim=True)
        images = torch.einsum("np,np...->n...", shares, self.get_buffer("pairs")[where])
        return Batch(images, self.get_buffer("owners")[where])

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"mixing": [self.mixing]}

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            # A pair whose weights both vanished would have no mixture.
            self.mixing.clamp_(min=1e-6)

    def stored(self) -> dict[str, Tensor]:
        with torch.no_grad():
            return {"images": self.decode().inputs.float().cpu(), "classes": self.packed_owners()}
