"""Layers by name, shared by the architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError


class AveragePool(nn.Module):
    """Mean over windows of 2 x 2 with stride 2.

    An odd last row or column is dropped, as ``nn.AvgPool2d(2)`` does. On a CPU it is a depthwise
    convolution forward and a repetition backward. That is several times faster than torch's pooling
    kernel, and differentiable any number of times. Compiled, the pooling is fused with what
    precedes it.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map ``n x c x h x w`` to ``n x c x h//2 x w//2``."""
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return F.avg_pool2d(images, 2)
        return cast(Tensor, _Halve.apply(images))


class _Halve(torch.autograd.Function):
    """The mean over windows of 2 x 2; its adjoint is `_Double`."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.size = inputs[0].shape[2:]

    @staticmethod
    def forward(images: Tensor) -> Tensor:
        weight = torch.full((images.shape[1], 1, 2, 2), 0.25, dtype=images.dtype)
        return F.conv2d(images, weight, stride=2, groups=images.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return cast(Tensor, _Double.apply(gradient, *ctx.size))


class _Double(torch.autograd.Function):
    """A quarter of every value, written to its window of 2 x 2; its adjoint is `_Halve`."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
        pass

    @staticmethod
    def forward(values: Tensor, height: int, width: int) -> Tensor:
        n, channels, rows, columns = values.shape
        windows = values.mul(0.25)[:, :, :, None, :, None].expand(n, channels, rows, 2, columns, 2)
        doubled = windows.reshape(n, channels, 2 * rows, 2 * columns)
        return F.pad(doubled, (0, width - 2 * columns, 0, height - 2 * rows)) if height % 2 or width % 2 else doubled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return cast(Tensor, _Halve.apply(gradient)), None, None


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "instance": lambda channels: nn.GroupNorm(channels, channels),
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "group": lambda channels: nn.GroupNorm(4, channels),
    "batch": nn.BatchNorm2d,
    "none": lambda channels: nn.Identity(),
}
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "sigmoid": nn.Sigmoid,
    "swish": nn.SiLU,
    "softplus": lambda: nn.Softplus(beta=60),
}
_POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "avg": AveragePool,
    "max": lambda: nn.MaxPool2d(2),
    "none": nn.Identity,
}


def norm(name: str, channels: int) -> nn.Module:
    """Return a norm by name.

    ``instance`` (affine: GroupNorm, a group per channel), ``batch``, ``layer``, ``group`` or
    ``none``.
    """
    if name not in _NORMS:
        raise UnknownNameError("norm", name, _NORMS)
    if name == "group" and channels % 4:
        raise SettingsError(f"norm 'group' has 4 groups: {channels} channels do not divide")
    return _NORMS[name](channels)


def activation(name: str) -> nn.Module:
    """Return an activation: ``relu``, ``leaky_relu``, ``sigmoid``, ``swish``, ``softplus``.

    The last is log(1 + exp(60 x)) / 60.
    """
    if name not in _ACTIVATIONS:
        raise UnknownNameError("activation", name, _ACTIVATIONS)
    return _ACTIVATIONS[name]()


def pooling(name: str) -> nn.Module:
    """Return a pooling over 2 x 2: ``avg``, ``max``, ``none``."""
    if name not in _POOLINGS:
        raise UnknownNameError("pooling", name, _POOLINGS)
    return _POOLINGS[name]()


def he_init(module: nn.Module) -> None:
    """Draw weights from a normal of variance 2 / fan-in and biases from one of deviation .1.

    Norms are left alone.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.1)


def lecun_init(module: nn.Module) -> None:
    """Draw weights from a normal of variance 1 / fan-in, cut off at two deviations.

    Biases are zero. Norms are left alone.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            # A normal that is cut off at two deviations has .8796 of its deviation left.
            deviation = part.weight[0].numel() ** -0.5 / 0.87962566103423978
            nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


INITS: dict[str, Callable[[nn.Module], object]] = {
    "uniform": lambda module: None,
    "he": he_init,
    "lecun": lecun_init,
}


def flat_size(features: nn.Module, shape: tuple[int, ...]) -> int:
    """Return how many numbers ``features`` gives for one example of ``shape``.

    No weight or statistic changes.
    """
    training = features.training
    try:
        with torch.no_grad():
            size = features.eval()(torch.zeros(1, *shape)).flatten(1).shape[1]
    except (RuntimeError, ValueError) as error:
        raise UnsupportedError(
            f"this network cannot take examples of shape {shape}: they are too small for it"
        ) from error
    features.train(training)
    return int(size)
