r"""Distances between two gradients, each a sequence of one tensor per weight.

A weight's *rows* are its output units. A convolution's gradient is reshaped to
``out x (in * height * width)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

Gradient = Sequence[Tensor]
Distance = Callable[[Gradient, Gradient], Tensor]

_TINY = 1e-6


def cosine(synthetic: Gradient, real: Gradient) -> Tensor:
    r"""Row-wise cosine distance, the distance of DC.

    .. math:: \sum_l \sum_i 1 -
       \frac{\langle s_{l,i}, r_{l,i} \rangle}{\|s_{l,i}\| \|r_{l,i}\| + 10^{-6}}

    over weights :math:`l` and their rows :math:`i`.

    Graph condensation takes it over the columns of weights that are stored transposed: the same.

    Source: Zhao et al. 2021 (arXiv:2006.05929), equation 8 and its appendix; Jin et al. 2022
    (arXiv:2110.07580) and its code; survey, equation 7.
    """
    return _total(_cosine(s.flatten(1), r.flatten(1)) for s, r in zip(synthetic, real, strict=True))


def vector_cosine(synthetic: Gradient, real: Gradient) -> Tensor:
    r"""Cosine distance of both gradients as one vector each.

    .. math:: 1 - \frac{\sum_l \langle s_l, r_l \rangle}{\|s\| \|r\| + 10^{-6}}

    Source: Cazenavette et al. 2025 (arXiv:2511.16674) and its code.
    """
    return _cosine(*(torch.cat([t.flatten() for t in gradient]).unsqueeze(0) for gradient in (synthetic, real)))


def mse(synthetic: Gradient, real: Gradient) -> Tensor:
    r"""Squared error, :math:`\sum_l \|s_l - r_l\|^2`: summed, as IDC takes it.

    Source: Kim et al. 2022 (arXiv:2205.14959).
    """
    return _total((s - r).square().sum() for s, r in zip(synthetic, real, strict=True))


def l1(synthetic: Gradient, real: Gradient) -> Tensor:
    r"""Absolute error, :math:`\sum_l \|s_l - r_l\|_1`: summed, as IDC takes it.

    Source: Kim et al. 2022 (arXiv:2205.14959).
    """
    return _total((s - r).abs().sum() for s, r in zip(synthetic, real, strict=True))


def relative_mse(synthetic: Gradient, real: Gradient) -> Tensor:
    r"""Squared error over the real gradient's squared norm.

    .. math:: \sum_l \|s_l - r_l\|^2 / \sum_l \|r_l\|^2

    Source: Jin et al. 2022, one-step gradient matching (arXiv:2206.07746).
    """
    return mse(synthetic, real) / _total(r.square().sum() for r in real).clamp_min(1e-30)


DISTANCES: dict[str, Distance] = {d.__name__: d for d in (cosine, vector_cosine, mse, l1, relative_mse)}


def _cosine(synthetic: Tensor, real: Tensor) -> Tensor:
    products = (synthetic * real).sum(dim=1)
    similarity = products / (_norm(synthetic) * real.norm(dim=1) + _TINY)
    return torch.sum(1 - similarity)


def _norm(rows: Tensor) -> Tensor:
    """Return the norm of each row; at a row of zeros its derivative is zero, not NaN."""
    squared = rows.square().sum(dim=1)
    nothing = squared == 0
    return squared.masked_fill(nothing, 1.0).sqrt().masked_fill(nothing, 0.0)


def _total(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()
