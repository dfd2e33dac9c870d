r"""Differentiable image operations, as functions of images and drawn parameters.

Images are ``n x channels x height x width``. A parameter has one entry (shared by the batch) or
``n`` (one each).

Source: Zhao & Bilen 2021, "Dataset Condensation with Differentiable Siamese Augmentation"
(arXiv:2102.08259).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _column(parameter: Tensor, like: Tensor) -> Tensor:
    return parameter.to(like).view(-1, 1, 1, 1)


def brightness(images: Tensor, shift: Tensor) -> Tensor:
    """Add ``shift`` to every pixel."""
    return images + _column(shift, images)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each pixel's deviation from its own mean over channels by ``factor``.

    Grey images stay as they are.
    """
    mean = images.mean(dim=1, keepdim=True)
    return (images - mean) * _column(factor, images) + mean


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each image's deviation from its mean by ``factor``."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * _column(factor, images) + mean


def mirror(images: Tensor, flip: Tensor) -> Tensor:
    """Flip images left to right where ``flip`` (bool) is true."""
    return torch.where(flip.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)


def translate(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move images by whole pixels (int64), zeros moving in: a crop of the padded image."""
    n, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - down.to(images.device).view(-1, 1)
    columns = torch.arange(width, device=images.device) - right.to(images.device).view(-1, 1)
    inside = ((rows >= 0) & (rows < height)).unsqueeze(2) & ((columns >= 0) & (columns < width)).unsqueeze(1)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    if len(rows) == 1:
        moved = images[:, :, rows[0]][:, :, :, columns[0]]
    else:
        which = torch.arange(n, device=images.device).view(-1, 1, 1)
        moved = images.permute(0, 2, 3, 1)[which, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return moved * inside.unsqueeze(1).to(images.dtype)


def cutout(images: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Set a rectangle of ``size`` (height, width) to zero.

    ``top`` and ``left`` (int64) may lie outside the image.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - top.to(images.device).view(-1, 1)
    columns = torch.arange(width, device=images.device) - left.to(images.device).view(-1, 1)
    hole = ((rows >= 0) & (rows < size[0])).unsqueeze(2) & ((columns >= 0) & (columns < size[1])).unsqueeze(1)
    return images * (~hole).unsqueeze(1).to(images.dtype)


def affine(images: Tensor, matrices: Tensor, outside: str = "zeros") -> Tensor:
    """Resample by ``2 x 3`` matrices that map output to input coordinates in [-1, 1].

    Sampling is bilinear. Outside of an image are ``zeros``, or its ``border`` goes on.
    """
    theta = matrices.to(images).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def scaling(factor_x: Tensor, factor_y: Tensor) -> Tensor:
    """Return matrices for `affine` that scale the sampling grid."""
    zero = torch.zeros_like(factor_x)
    return torch.stack([factor_x, zero, zero, zero, factor_y, zero], dim=1).view(-1, 2, 3)


def rotation(radians: Tensor) -> Tensor:
    """Return matrices for `affine` that rotate the sampling grid.

    They are computed in float64, where devices agree on sine and cosine.
    """
    radians = radians.double()
    zero, cos, sin = torch.zeros_like(radians), radians.cos(), radians.sin()
    return torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
