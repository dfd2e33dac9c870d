"""Means and variances of what enters a network's layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ddcore.errors import TeacherError
from ddcore.parts import Network


class LayerInputs:
    """Inside the block, what enters some layers is kept.

    Args:
        layers: each runs once in a forward pass.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self._seen: dict[nn.Module, Tensor] = {}

    def __enter__(self) -> LayerInputs:
        self._handles = [layer.register_forward_pre_hook(self._look) for layer in self._layers]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _look(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._seen[layer] = inputs[0]

    def of(self, layer: nn.Module) -> Tensor:
        """Return what entered a layer in the last forward pass."""
        return self._seen[layer]


def channel_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel of ``n x channels x ...``."""
    rest = [0, *range(2, values.ndim)]
    return values.mean(rest), values.var(rest, unbiased=False)


def patch_moments(values: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each patch of ``n x channels x height x width``.

    A patch is a square of ``side`` pixels at one place, of all examples and channels. Where sides
    are no multiples of it, values are first enlarged bilinearly to the next multiples.
    """
    height, width = (-(-length // side) * side for length in values.shape[2:])
    if (height, width) != tuple(values.shape[2:]):
        values = F.interpolate(values, size=(height, width), mode="bilinear")
    cut = values.unflatten(2, (-1, side)).unflatten(4, (-1, side)).movedim((2, 4), (0, 1)).flatten(2)
    return cut.mean(dim=2).flatten(), cut.var(dim=2, unbiased=False).flatten()


def norms_of(network: Network) -> list[_BatchNorm]:
    """Return the BatchNorms of a network that keep statistics.

    Raises:
        TeacherError: there are none.
    """
    norms = [m for m in network.module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not norms:
        raise TeacherError(
            "this teacher has no BatchNorm whose statistics could be matched: train one with "
            "--network 'convnet(norm=batch)'"
        )
    return norms


def convolutions_of(network: Network) -> list[nn.Conv2d]:
    """Return the convolutions of a network, in the order in which they were made."""
    return [m for m in network.module.modules() if isinstance(m, nn.Conv2d)]


def moments_of(layer: nn.Module, values: Tensor, patch: int) -> list[Tensor]:
    """Return the statistics of what enters a layer: of channels, and of the patches of images."""
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    channels = list(channel_moments(values))
    return channels if isinstance(layer, _BatchNorm) else [*channels, *patch_moments(values, patch)]
