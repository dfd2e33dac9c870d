"""NTK and NNGP of ReLU networks of infinite width, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.kernels.pixel_pairs import halved, in_lots, pixel_products, same_pixels, window_mean
from ddcore.parts import Kernel, Network, SparseRows, inner_products, squared_norms
from ddcore.settings import require, require_counts

KINDS = ("ntk", "nngp")
LAYERS = ("fc", "conv")
NUMBERS_IN_LOT = 2**18
"""Numbers in one intermediate tensor, where all pairs of pixels count. They stay in the cache."""
POOLINGS = ("none", "average")
READOUTS = ("flatten", "average")


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
    pixel. The readout comes after flattening: every quantity is averaged over all pixels. Or it
    comes after the mean over all pixels: every quantity is averaged over all pairs of pixels.

    Average pooling takes the mean over the 16 pairs of pixels of two 2 x 2 windows. So with
    pooling, or with a readout of the mean, every quantity is about all pairs of a pixel of one
    image and a pixel of the other. Images are then multiplied in lots of pairs, and derivatives
    compute a lot again, so that memory is bounded.

    Attributes:
        kind: ``ntk`` or ``nngp``.
        layers: hidden layers are ``fc`` or ``conv``.
        depth: number of hidden layers.
        weight_std, bias_std: :math:`\sigma_w, \sigma_b` of every layer.
        window: side of the convolutions.
        pooling: ``none``; or ``average`` over 2 x 2 with stride 2, after hidden layers. An odd last
            row or column is dropped.
        unpooled: how many hidden layers come before the first that is pooled after.
        readout: ``flatten``; or ``average``, the mean over all pixels.

    Source: Jacot et al. 2018 (arXiv:1806.07572); Cho & Saul 2009; Arora et al. 2019
    (arXiv:1904.11955) for convolutions; Novak et al. 2019 (arXiv:1810.05148) for pooling.
    """

    kind: str = "ntk"
    layers: str = "fc"
    depth: int = 1
    weight_std: float = math.sqrt(2)
    bias_std: float = 0.1
    window: int = 3
    pooling: str = "none"
    unpooled: int = 0
    readout: str = "flatten"
    name: ClassVar[str] = "analytic"
    of_networks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.kind, KINDS, "kind of kernel"),
            (self.layers, LAYERS, "layers"),
            (self.pooling, POOLINGS, "pooling"),
            (self.readout, READOUTS, "readout"),
        ):
            if value not in allowed:
                raise UnknownNameError(what, value, allowed)
        require_counts(depth=self.depth, window=self.window)
        require(self.window % 2 == 1, f"window must be odd, not {self.window}")
        require(self.weight_std > 0 and self.bias_std >= 0, "weight_std must be positive, bias_std not negative")
        require(
            self.layers == "conv" or not self._of_all_pairs,
            "pooling and a readout of the mean are for convolutional kernels: layers='conv'",
        )
        require(self.unpooled >= 0, f"unpooled must not be negative, it is {self.unpooled}")
        if self.pooling == "average":
            require(
                self.unpooled < self.depth, f"unpooled={self.unpooled} leaves none of {self.depth} layers to pool after"
            )

    @property
    def _of_all_pairs(self) -> bool:
        """Whether all pairs of pixels count."""
        return self.pooling == "average" or self.readout == "average"

    def numbers_per_pair(self, shape: tuple[int, ...]) -> int:
        pixels = math.prod(shape[1:]) if self.layers == "conv" else 1
        return pixels**2 if self._of_all_pairs else pixels

    def embed(self, inputs: Tensor, networks: Sequence[Network]) -> Tensor:
        if self.layers == "conv" and inputs.ndim != 4:
            raise UnsupportedError(
                f"a convolutional kernel is for images, not for examples of shape {tuple(inputs.shape[1:])}"
            )
        halvings = self.depth - self.unpooled if self.pooling == "average" else 0
        if halvings and min(inputs.shape[2:]) >> halvings < 1:
            raise UnsupportedError(
                f"images of {tuple(inputs.shape[2:])} pixels cannot be halved {halvings} times: choose a smaller depth, "
                "or more unpooled layers"
            )
        return (inputs if self.layers == "conv" else _rows(inputs)).double()

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        if self._of_all_pairs:
            return self._product_of_all_pairs(a, b)
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

    def _product_of_all_pairs(self, a: Tensor, b: Tensor) -> Tensor:
        lot = max(1, NUMBERS_IN_LOT // self.numbers_per_pair(tuple(a.shape[1:])))
        of_a = in_lots(self._variances, lot, a)
        of_b = of_a if a is b else in_lots(self._variances, lot, b)
        rows, columns = torch.triu_indices(len(a), len(b)) if a is b else torch.ones(len(a), len(b)).nonzero().T
        rows, columns = rows.to(a.device), columns.to(a.device)
        given = [a[rows], b[columns], *(v[rows] for v in of_a), *(v[columns] for v in of_b)]
        (values,) = in_lots(self._of_pairs, lot, *given)
        product = values.new_zeros(len(a), len(b)).index_put((rows, columns), values)
        return product.index_put((columns, rows), values) if a is b else product

    def _variances(self, examples: Tensor) -> tuple[Tensor, ...]:
        """Return the variances of each pixel that each hidden layer's ReLU sees, ``n x h x w``."""
        covariance, variances = self._after_layer(pixel_products(examples, examples)), list[Tensor]()
        for layer in range(self.depth):
            variance = same_pixels(covariance)
            variances.append(variance)
            if layer + 1 < self.depth:
                _, kappa1 = relu_expectations(covariance, *_spread(variance, variance))
                covariance = self._after_layer(self._pooled(kappa1, layer))
        return tuple(variances)

    def _of_pairs(self, a: Tensor, b: Tensor, *variances: Tensor) -> tuple[Tensor]:
        """Return the kernel of pairs of images.

        Their variances are given by layer, first those of a, then those of b.
        """
        covariance = tangent = self._after_layer(pixel_products(a, b))
        for layer in range(self.depth):
            kappa0, kappa1 = relu_expectations(covariance, *_spread(variances[layer], variances[self.depth + layer]))
            after = self._read_out if layer + 1 == self.depth else self._after_layer
            covariance = after(self._pooled(kappa1, layer))
            if self.kind == "ntk":
                tangent = after(self._pooled(tangent * kappa0, layer)) - self.bias_std**2 + covariance
        return (tangent if self.kind == "ntk" else covariance,)

    def _pooled(self, moments: Tensor, layer: int) -> Tensor:
        return halved(moments) if self.pooling == "average" and layer >= self.unpooled else moments

    def _after_layer(self, moments: Tensor) -> Tensor:
        return window_mean(moments, self.window) * self.weight_std**2 + self.bias_std**2

    def _read_out(self, moments: Tensor) -> Tensor:
        pixels = same_pixels(moments) if self.readout == "flatten" else moments
        return pixels.flatten(1).mean(dim=1) * self.weight_std**2 + self.bias_std**2

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


def _spread(variance_a: Tensor, variance_b: Tensor) -> tuple[Tensor, Tensor]:
    """Return variances ``n x h x w`` as factors of moments ``n x h x h' x w x w'``."""
    return variance_a[:, :, None, :, None], variance_b[:, None, :, None, :]


def relu_expectations(covariance: Tensor, variance_a: Tensor, variance_b: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the expectations :math:`\kappa_0, \kappa_1` of jointly normal pairs.

    .. math:: \kappa_0 = (\pi - \varphi) / 2\pi, \qquad
       \kappa_1 = (r + (\pi - \varphi) c) / 2\pi

    Here :math:`c` is the covariance, :math:`r = \sqrt{v v' - c^2}`, and
    :math:`\tan\varphi = r / c`. Variances may be smaller tensors that are spread over the
    covariance. The result can be differentiated once. Where both are the same point the angle is
    zero and stays so. Its derivative is taken as zero there.
    """
    kappa0, kappa1 = _Expectations.apply(covariance, variance_a, variance_b)
    return kappa0, kappa1


class _Expectations(torch.autograd.Function):
    r"""The expectations, with few passes over memory.

    .. math:: \partial_c \kappa_1 = \kappa_0, \quad \partial_v \kappa_1 = r / 4\pi v, \quad
       \partial_c \kappa_0 = 1 / 2\pi r, \quad \partial_v \kappa_0 = -c / 4\pi r v
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, variance_a: Tensor, variance_b: Tensor) -> tuple[Tensor, Tensor]:
        product = variance_a * variance_b
        root = product - covariance.square()
        # Two equal points have an angle of zero. What rounding leaves of it is set to zero.
        root.masked_fill_(root <= product.mul_(8 * torch.finfo(root.dtype).eps), 0.0).sqrt_()
        kappa0 = torch.atan2(root, covariance).mul_(-1 / (2 * math.pi)).add_(0.5)
        kappa1 = (kappa0 * covariance).add_(root, alpha=1 / (2 * math.pi))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(covariance, variance_a, variance_b, root, kappa0)
        return kappa0, kappa1

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_kappa0: Tensor | None, of_kappa1: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        covariance, variance_a, variance_b, root, kappa0 = ctx.saved_tensors
        of_covariance, of_variance = torch.zeros_like(root), torch.zeros_like(root)
        if of_kappa1 is not None:
            of_covariance.addcmul_(of_kappa1, kappa0)
            of_variance.addcmul_(of_kappa1, root)
        if of_kappa0 is not None:
            steep = of_kappa0 / root
            steep.masked_fill_(root == 0, 0.0)
            of_covariance.add_(steep, alpha=1 / (2 * math.pi))
            of_variance.addcmul_(steep, covariance, value=-1)
        found = (
            of_variance.sum_to_size(v.shape) / (4 * math.pi * v.masked_fill(v == 0, 1.0))
            for v in (variance_a, variance_b)
        )
        return of_covariance, *found
