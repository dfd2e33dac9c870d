"""Second moments of every pixel of one image with every pixel of another, and linear maps of them.

They are tensors ``pairs x h x h' x w x w'``. ``h, w`` is the place in the first image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

OfLot = Callable[..., tuple[Tensor, ...]]


def pixel_products(a: Tensor, b: Tensor) -> Tensor:
    r"""Return :math:`\langle a_p, b_q \rangle / c` of all pixels of two images.

    Images are ``pairs x c x h x w``.
    """
    return torch.einsum("pchw,pcij->phiwj", a, b) / a.shape[1]


def same_pixels(moments: Tensor) -> Tensor:
    """Return the moments of each place with the same place of the other: ``pairs x h x w``."""
    return moments.diagonal(dim1=1, dim2=2).diagonal(dim1=1, dim2=2)


def window_mean(moments: Tensor, window: int) -> Tensor:
    """Return the mean over windows that move together over both images.

    This is what a convolution makes of moments: stride 1, zeros around the images, ``window`` odd.
    """
    for rows in (1, 3):
        total = moments.clone()
        size = min(moments.shape[rows : rows + 2])
        for shift in range(1, min(window // 2, size - 1) + 1):
            low, high = (_cut(rows, slice(*ends)) for ends in ((None, -shift), (shift, None)))
            total[low] += moments[high]
            total[high] += moments[low]
        moments = total
    return moments / window**2


def halved(moments: Tensor) -> Tensor:
    """Return what average pooling of both images over 2 x 2 makes of moments.

    An odd last row or column is dropped.
    """
    for axis in range(1, 5):
        size = moments.shape[axis] // 2 * 2
        even, odd = (moments[(slice(None),) * axis + (slice(first, size, 2),)] for first in (0, 1))
        moments = even + odd
    return moments / 16


def in_lots(of_lot: OfLot, size: int, *given: Tensor) -> tuple[Tensor, ...]:
    """Return the joined results of ``of_lot``.

    It gets ``size`` rows of each given tensor at a time.

    What a gradient needs of a lot is computed when it is its turn, and freed after it. The result
    can be differentiated once.
    """
    results: tuple[Tensor, ...] = _Lots.apply(of_lot, size, *given)
    return results


class _Lots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, of_lot: OfLot, size: int, *given: Tensor) -> tuple[Tensor, ...]:
        ctx.of_lot, ctx.size = of_lot, size
        ctx.save_for_backward(*given)
        parts = [of_lot(*lot) for lot in zip(*(tensor.split(size) for tensor in given), strict=True)]
        return tuple(torch.cat(each) for each in zip(*parts, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        parts = []
        rows = zip(*(tensor.split(ctx.size) for tensor in (*ctx.saved_tensors, *along)), strict=True)
        for row in rows:
            lot = [tensor.detach() for tensor in row[: len(ctx.saved_tensors)]]
            leaves = [lot[i].requires_grad_() for i in wanted]
            with torch.enable_grad():
                results = ctx.of_lot(*lot)
            parts.append(torch.autograd.grad(results, leaves, row[len(lot) :], materialize_grads=True))
        found = {i: torch.cat(each) for i, each in zip(wanted, zip(*parts, strict=True), strict=True)}
        return None, None, *(found.get(i) for i in range(len(ctx.saved_tensors)))


def _cut(rows: int, ends: slice) -> tuple[slice, ...]:
    return (slice(None),) * rows + (ends, ends)
