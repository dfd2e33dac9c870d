"""Losses of quantities that add up over examples, differentiated piece by piece.

Memory is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ddcore.ground.ranks import ALONE, Ranks

P = TypeVar("P")


def losses_by_piece(
    distance: Callable[[Sequence[Tensor]], Tensor],
    quantities: Callable[[P, bool], Sequence[Tensor]],
    pieces: Sequence[P],
    ranks: Ranks = ALONE,
) -> Iterator[Tensor]:
    r"""Yield one loss per piece, for the distance of summed quantities.

    Gradients and values of the losses add up to those of ``distance(sum of quantities)``. This is
    exact by the chain rule:
    :math:`\nabla_x D\big(\sum_k q_k(x)\big) = \sum_k \nabla_x \langle v, q_k(x) \rangle`, where
    :math:`v = D'` at the total. A first pass that keeps no graph finds it. With a single piece
    there is no first pass.

    Args:
        distance: from the total quantities to a scalar.
        quantities: of a piece. Its second argument says whether the result must be differentiable.
        pieces: parts of the synthetic examples.
        ranks: processes whose pieces add up, too. Each has one at least.
    """
    if len(pieces) == 1 and ranks.size == 1:
        yield distance(quantities(pieces[0], True))
        return
    parts = zip(*(quantities(piece, False) for piece in pieces), strict=True)
    own = [torch.stack([p.detach() for p in part]).sum(dim=0) for part in parts]
    total = [part.requires_grad_() for part in ranks.sum(own)]
    value = distance(total)
    directions = torch.autograd.grad(value, total)
    for piece in pieces:
        along = zip(directions, quantities(piece, True), strict=True)
        product = torch.stack([(v * q).sum() for v, q in along]).sum()
        yield product - product.detach() + value.detach() / (len(pieces) * ranks.size)
