"""`LatentCodes`: classes own small codes.

A few small decoders that all classes share make images of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.coresets import as_rule
from ddcore.factorization.shared_decoder import Decoding, SharedDecoder
from ddcore.images.factorizations.shared_networks import MAX_NETWORKS, default_weights, each_by_its_own
from ddcore.images.spec import image_shape
from ddcore.parts import CoresetRule, Ipc, Run, Spec
from ddcore.settings import require

FITTED_AT_ONCE = 128


@dataclass(frozen=True)
class LatentCodes(SharedDecoder):
    r"""Examples are :math:`h_j(b)` for every code :math:`b` and every decoder :math:`h_j`.

    So a code gives ``decoders`` examples. It is ``channels`` planes, ``factor`` times smaller than
    the data along each side. A decoder is a 3 x 3 convolution to ``width`` channels, a leaky ReLU,
    and at each place a linear map to the pixels of a ``factor x factor`` block of all channels.

    Attributes:
        ipc: codes per class.
        decoders: number of decoders.
        channels: planes of a code.
        factor: how much smaller a code is.
        width: hidden channels of a decoder; a budget of bytes chooses it where it is 16.
        init: a coreset rule: codes begin where every decoder reproduces the chosen image of each.
            Optimisation of codes and decoders finds them. Or ``noise``: standard normal codes,
            decoders as torch draws convolutions.
        fitting_steps: updates of that optimisation.
        storage: ``float32``, ``fp16`` or ``uint8``.

    Source: Lee et al. 2022 (arXiv:2208.10494); survey, equation 15. Its code is not public. Sizes,
    decoders and initialisation are ours.
    """

    ipc: Ipc = field(default=10, hash=False)
    decoders: int = 2
    channels: int = 4
    factor: int = 4
    width: int = 16
    init: str | CoresetRule = "random"
    fitting_steps: int = 500
    storage: str = "float32"
    name: ClassVar[str] = "latent_codes"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "codes"
    shared: ClassVar[str] = "decoders"
    sizes: ClassVar[tuple[str, ...]] = ("decoders", "channels", "factor", "width")
    grows: ClassVar[str] = "width"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.decoders <= MAX_NETWORKS, f"decoders must not be above {MAX_NETWORKS}")
        require(self.fitting_steps >= 0, "fitting_steps must not be negative")

    @property
    def each(self) -> int:
        return self.decoders

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        _, *sides = image_shape(spec)
        require(min(sides) >= self.factor, f"images of shape {spec.shape} cannot be {self.factor} times smaller")
        return (self.channels, *(-(-side // self.factor) for side in sides))

    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        k, block = self.decoders, spec.shape[0] * self.factor**2
        shapes = {
            "first.weight": (k, self.width, self.channels, 3, 3),
            "first.bias": (k, self.width),
            "last.weight": (k, block, self.width, 1, 1),
            "last.bias": (k, block),
        }
        return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}

    def hidden(self, spec: Spec) -> int:
        _, rows, columns = self.item_shape(spec)
        return rows * columns * max(self.width, spec.shape[0] * self.factor**2)

    def learning_rates(self) -> dict[str, float]:
        return {"codes": 0.1, "decoders": 0.02}

    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        random, chosen = run.generator("init"), None
        if self.init != "noise":
            chosen = run.real.select(as_rule(self.init), counts, random)
        shared = default_weights(self.shared_like(run.spec), random, run.dtype)
        codes = torch.randn(sum(counts.values()), *self.item_shape(run.spec), generator=random, dtype=run.dtype)
        if chosen is None:
            return codes, shared
        images = torch.cat([chosen[c].inputs.to(run.device, run.dtype) for c in counts])
        return self._fitted(run, codes, shared, images)

    def _fitted(
        self, run: Run, codes: Tensor, shared: dict[str, Tensor], images: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return codes and decoders that are fitted to ``images``, one per code.

        Adam descends the squared error between their examples and the images.
        """
        numbers = {self.items: codes, **shared}
        numbers = {name: t.to(run.device).requires_grad_() for name, t in numbers.items()}
        codes = numbers[self.items]
        shared = {name: t for name, t in numbers.items() if name != self.items}
        optimiser = torch.optim.Adam(numbers.values(), lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, self.fitting_steps))
        decode = self.decoding(run.spec)
        for step in range(self.fitting_steps):
            start = step * FITTED_AT_ONCE % len(images)
            mine, wanted = (
                t[start : start + FITTED_AT_ONCE].repeat_interleave(self.each, dim=0) for t in (codes, images)
            )
            which = torch.arange(len(mine)) % self.each
            error = (decode(mine, mine, which, shared) - wanted).square().mean()
            optimiser.zero_grad(set_to_none=True)
            error.backward()
            optimiser.step()
            schedule.step()
        return codes.detach().cpu(), {name: t.detach().cpu() for name, t in shared.items()}

    def decoding(self, spec: Spec) -> Decoding:
        _, height, width = image_shape(spec)

        def one(codes: Tensor, j: int, shared: Mapping[str, Tensor]) -> Tensor:
            hidden = F.conv2d(codes, shared["first.weight"][j], shared["first.bias"][j], padding=1)
            blocks = F.conv2d(F.leaky_relu(hidden, 0.2), shared["last.weight"][j], shared["last.bias"][j])
            return F.pixel_shuffle(blocks, self.factor)[:, :, :height, :width]

        return lambda items, owners, which, shared: each_by_its_own(items, which, one, shared)
