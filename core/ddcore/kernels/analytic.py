"""NTK and NNGP of ReLU networks of infinite width, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.parts import Kernel, Network, SparseRows, inner_products, squared_norms
from ddcore.settings import require, require_counts

KINDS = ("ntk", "nngp")
LAYERS = ("fc", "conv")


@dataclass(frozen=True)
class AnalyticKernel(Kernel):
    r"""The kernel of ``depth`` hidden ReLU layers and a linear readout, at infinite width.

    It starts from :math:`\Sigma_0 = \sigma_w^2 \langle x, x' \rangle / d + \sigma_b^2`. Each layer
    takes Gaussian expectations under :math:`\Sigma_{l-1}`:
    :math:`\kappa_1 = \mathbb E[\mathrm{relu}(u)\,\mathrm{relu}(v)]` and
    :math:`\kappa_0 = \mathbb E[1_{u>0} 1_{v>0}]`.

    .. math:: \Sigma_l = \sigma_w^2 \kappa_1 + \sigma_b^2, \qquad
       \Theta_l = \sigma_w^2 \Theta_{l-1} \kappa_0 + \Sigma_l, \qquad \Theta_0 = \Sigma_0.

    ``nngp`` is :math:`\Sigma_{depth}`, the covariance of the outputs at initialisation. ``ntk`` is
    :math:`\Theta_{depth}`, the kernel of their training by gradient descent.

    Convolutions (stride 1, padded with zeros) average every quantity over the window around each
    pixel. The readout of a convolutional network comes after flattening. It averages over all
    pixels. There is no pooling: its kernel would need all pairs of pixels.

    Attributes:
        kind: ``ntk`` or ``nngp``.
        layers: hidden layers are ``fc`` or ``conv``.
        depth: number of hidden layers.
        weight_std, bias_std: :math:`\sigma_w, \sigma_b` of every layer.
        window: side of the convolutions.

    Source: Jacot et al. 2018 (arXiv:1806.07572); Cho & Saul 2009; Arora et al. 2019
    (arXiv:1904.11955) for convolutions.
    """

    kind: str = "ntk"
    layers: str = "fc"
    depth: int = 1
    weight_std: float = math.sqrt(2)
    bias_std: float = 0.1
    window: int = 3
    name: ClassVar[str] = "analytic"
    of_networks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for value, allowed, what in ((self.kind, KINDS, "kind of kernel"), (self.layers, LAYERS, "layers")):
            if value not in allowed:
                raise UnknownNameError(what, value, allowed)
        require_counts(depth=self.depth, window=self.window)
        require(self.window % 2 == 1, f"window must be odd, not {self.window}")
        require(self.weight_std > 0 and self.bias_std >= 0, "weight_std must be positive, bias_std not negative")

    def numbers_per_pair(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape[1:]) if self.layers == "conv" else 1

    def embed(self, inputs: Tensor, networks: Sequence[Network]) -> Tensor:
        if self.layers == "conv" and inputs.ndim != 4:
            raise UnsupportedError(
                f"a convolutional kernel is for images, not for examples of shape {tuple(inputs.shape[1:])}"
            )
        return (inputs if self.layers == "conv" else _rows(inputs)).double()

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        covariance, variance_a, variance_b = self._first(a, b)
        tangent = covariance
        for layer in range(self.depth):
            last = layer == self.depth - 1
            kappa0, kappa1 = relu_expectations(covariance, variance_a, variance_b)
            covariance = self._after(kappa1, last) + self.bias_std**2
            if self.kind == "ntk":
                tangent = self._after(tangent * kappa0, last) + covariance
            # relu halves the second moment
            variance_a, variance_b = (self._after(v / 2, last) + self.bias_std**2 for v in (variance_a, variance_b))
        return tangent if self.kind == "ntk" else covariance

    def _first(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first layer's covariance and the two variances.

        Their shapes are ``n x m x ...``, ``n x 1 x ...`` and ``1 x m x ...``.
        """
        if self.layers == "fc":
            a, b = _rows(a), _rows(b)
            products = inner_products(a, b), squared_norms(a)[:, None], squared_norms(b)[None, :]
            scaled = [p * (self.weight_std**2 / a.shape[1]) for p in products]
        else:
            c = a.shape[1]
            products = (
                torch.einsum("ichw,jchw->ijhw", a, b),
                a.square().sum(dim=1).unsqueeze(1),
                b.square().sum(dim=1).unsqueeze(0),
            )
            scaled = [self._after(p / c, readout=False) for p in products]
        covariance, variance_a, variance_b = (s + self.bias_std**2 for s in scaled)
        return covariance, variance_a, variance_b

    def _after(self, moments: Tensor, readout: bool) -> Tensor:
        """Return what a linear layer makes of second moments of its input, without the bias."""
        scaled = moments * self.weight_std**2
        if self.layers == "fc":
            return scaled
        if readout:
            return scaled.mean(dim=(2, 3))
        half = self.window // 2
        n, m, height, width = scaled.shape
        maps = scaled.reshape(n * m, 1, height, width)
        pooled = F.avg_pool2d(maps, self.window, stride=1, padding=half, count_include_pad=True)
        return pooled.view(n, m, height, width)


def _rows(inputs: Any) -> Any:
    """Return examples as rows. Sparse ones stay as they are."""
    return inputs if isinstance(inputs, SparseRows) else inputs.flatten(1)


def relu_expectations(covariance: Tensor, variance_a: Tensor, variance_b: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the expectations :math:`\kappa_0, \kappa_1` of jointly normal pairs.

    .. math:: \kappa_0 = (\pi - \varphi) / 2\pi, \qquad
       \kappa_1 = (s \sin\varphi + (\pi - \varphi) c) / 2\pi

    Here :math:`c` is the covariance, :math:`s` the root of the product of variances, and
    :math:`\cos\varphi = c / s`. Where both are the same point the angle is zero and stays so. Its
    derivative is taken as zero there.
    """
    product = variance_a * variance_b
    squared = product - covariance.square()
    # Two equal points have an angle of zero. What rounding leaves of it is set to zero.
    sine = _root(squared.masked_fill(squared <= 8 * torch.finfo(squared.dtype).eps * product, 0.0))
    angle = torch.atan2(sine, covariance)
    kappa0 = (math.pi - angle) / (2 * math.pi)
    return kappa0, sine / (2 * math.pi) + kappa0 * covariance


def _root(values: Tensor) -> Tensor:
    """Return the square root, with derivative zero at zero."""
    nothing = values <= 0
    return values.masked_fill(nothing, 1.0).sqrt().masked_fill(nothing, 0.0)
