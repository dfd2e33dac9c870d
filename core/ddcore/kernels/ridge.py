"""Kernel ridge regression in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import NumericalError


def ridge_solution(gram: Tensor, labels: Tensor, ridge: float, *, checked: bool = True) -> Tensor:
    r"""Return :math:`\big(K + \lambda \tfrac{\mathrm{tr} K}{n} I\big)^{-1} y`, by Cholesky.

    The result is differentiable.

    Args:
        gram: :math:`K`, ``n x n``, symmetric.
        labels: :math:`y`, ``n x outputs``.
        ridge: :math:`\lambda`, relative to the mean of the diagonal.
        checked: whether a singular matrix raises. This must wait for a GPU. If not checked, the
            result is NaN.

    Raises:
        NumericalError: the matrix is not positive definite in float64.
    """
    gram, labels = gram.double(), labels.double()
    size = len(gram)
    added = ridge * gram.diagonal().sum() / size
    factor, info = torch.linalg.cholesky_ex(gram + added * torch.eye(size, dtype=gram.dtype, device=gram.device))
    if checked and int(info) != 0:
        raise NumericalError(
            f"the kernel matrix of the {size} synthetic examples is singular at ridge {ridge:g}: two of them may have become "
            "the same; raise the ridge"
        )
    return torch.cholesky_solve(labels, torch.where(info == 0, factor, torch.nan))


def centred(targets: Tensor, num_classes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the labels that are regressed.

    Soft labels stay as they are. Class ids become one-hot vectors minus ``1 / num_classes``.
    """
    if targets.ndim == 2:
        return targets.to(dtype)
    return F.one_hot(targets, num_classes).to(dtype) - 1 / num_classes
