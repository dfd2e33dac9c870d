"""`Hallucinators`: a few small networks restyle bases that classes own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.coresets import as_rule
from ddcore.errors import UnknownNameError
from ddcore.factorization.shared_decoder import DecodedExamples, Decoding, SharedDecoder
from ddcore.images.factorizations.contrast import Contrast
from ddcore.images.factorizations.shared_networks import MAX_NETWORKS, default_weights, each_by_its_own
from ddcore.images.spec import image_shape
from ddcore.parts import Context, CoresetRule, Ipc, Network, Run, Spec
from ddcore.settings import require

STARTS = ("default", "identity")
IDENTITY_NOISE = 0.1


@dataclass(frozen=True)
class Hallucinators(SharedDecoder):
    r"""Examples are :math:`h_j(b)` for every basis :math:`b` and hallucinator :math:`h_j`.

    .. math:: h_j(b) = \mathrm{conv}^T_j\big(\sigma_j \odot \mathrm{conv}_j(b) + \mu_j\big)

    with 3 x 3 kernels and no padding. Scale :math:`\sigma_j` and shift :math:`\mu_j` are one number
    per place and channel.

    Attributes:
        ipc: bases per class, each of the size of an example.
        hallucinators: how many, for all classes.
        width: channels between the convolutions; a budget of bytes chooses it where it is 3.
        init: a coreset rule, whose images the bases start as; or ``noise``: standard normal bases.
        hallucinator_init: ``default``: convolutions as torch draws them, scale 1, shift 0.
            ``identity``: what changes nothing, and a tenth of such a draw.
        contrast: what keeps the examples of one basis apart; None: nothing.
        storage: ``float32``, ``fp16`` or ``uint8``.

    Source: Liu et al. 2022 (arXiv:2210.16774) and its code; survey, equation 14. There one
    hallucinator, drawn at random, restyles all bases of an inner step. Here every pair of basis and
    hallucinator is an example, and inner steps draw pairs.
    """

    ipc: Ipc = field(default=1, hash=False)
    hallucinators: int = 5
    width: int = 3
    init: str | CoresetRule = "random"
    hallucinator_init: str = "identity"
    contrast: Contrast | None = None
    storage: str = "float32"
    name: ClassVar[str] = "hallucinators"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "bases"
    shared: ClassVar[str] = "hallucinators"
    sizes: ClassVar[tuple[str, ...]] = ("hallucinators", "width")
    grows: ClassVar[str] = "width"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hallucinators <= MAX_NETWORKS, f"hallucinators must not be above {MAX_NETWORKS}")
        if self.hallucinator_init not in STARTS:
            raise UnknownNameError("hallucinator_init", self.hallucinator_init, STARTS)
        require(
            self.contrast is None or self.hallucinators > 1,
            "a contrast compares two hallucinators: hallucinators=2 or more, or contrast=None",
        )

    @property
    def each(self) -> int:
        return self.hallucinators

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        channels, height, width = image_shape(spec)
        require(min(height, width) >= 3, f"images of shape {spec.shape} are smaller than the 3 x 3 kernels")
        return (channels, height, width)

    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        channels, height, width = self.item_shape(spec)
        k = self.hallucinators
        inner = (k, self.width, height - 2, width - 2)
        shapes = {
            "encoder.weight": (k, self.width, channels, 3, 3),
            "encoder.bias": (k, self.width),
            "scale": inner,
            "shift": inner,
            "decoder.weight": (k, self.width, channels, 3, 3),
            "decoder.bias": (k, channels),
        }
        return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}

    def most(self, spec: Spec) -> int:
        return max(Hallucinators.width, spec.shape[0])

    def hidden(self, spec: Spec) -> int:
        return self.width * spec.shape[1] * spec.shape[2]

    def learning_rates(self) -> dict[str, float]:
        rates = {"bases": 0.05, "hallucinators": 0.01}
        return rates | ({} if self.contrast is None else {"adversary": 1e-3})

    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        random = run.generator("init")
        if self.init == "noise":
            n = sum(counts.values())
            bases = torch.randn(n, *self.item_shape(run.spec), generator=random, dtype=run.dtype)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            bases = torch.cat([chosen[c].inputs.to("cpu", run.dtype) for c in counts])
        like = self.shared_like(run.spec)
        drawn = {name: t for name, t in like.items() if "." in name}
        shared = default_weights(drawn, random, run.dtype)
        shared["scale"] = torch.ones(like["scale"].shape, dtype=run.dtype)
        shared["shift"] = torch.zeros(like["shift"].shape, dtype=run.dtype)
        if self.hallucinator_init == "identity":
            for name in drawn:
                shared[name] *= IDENTITY_NOISE
            channels = run.spec.shape[0]
            pairs = [(c % self.width, c % channels) for c in range(max(self.width, channels))]
            inners, outers = (Counter(pair[side] for pair in pairs) for side in (0, 1))
            for inner, outer in pairs:
                shared["encoder.weight"][:, inner, outer, 1, 1] += 1 / inners[inner]
                shared["decoder.weight"][:, inner, outer, 1, 1] += 1 / outers[outer]
        return bases, {name: shared[name] for name in like}

    def adversary(self, run: Context) -> Network | None:
        return None if self.contrast is None else self.contrast.adversary(run)

    def penalty(self, examples: DecodedExamples, run: Context) -> Tensor | None:
        if self.contrast is None or examples.adversary is None:
            return None
        return self.contrast.penalty(examples, examples.adversary, self.each, run)

    def decoding(self, spec: Spec) -> Decoding:
        def one(bases: Tensor, j: int, shared: Mapping[str, Tensor]) -> Tensor:
            encoded = F.conv2d(bases, shared["encoder.weight"][j], shared["encoder.bias"][j])
            styled = shared["scale"][j] * encoded + shared["shift"][j]
            return F.conv_transpose2d(styled, shared["decoder.weight"][j], shared["decoder.bias"][j])

        return lambda items, owners, which, shared: each_by_its_own(items, which, one, shared)
