"""A mean-feature generator in the style of DP-MERF: one noisy answer, then free steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from opacus.accountants import IAccountant
from torch import Tensor, nn

import ddcore as dd
from ddapps.privacy.heads import unused_head
from ddapps.privacy.kept import on_kept_answers
from ddapps.privacy.privatize import PrivateMethod
from ddcore.images import Pixels
from ddcore.parts import Ipc


class RandomFourierFeatures(nn.Module):
    r"""Random Fourier features of norm 1, whose mean embeds by a Gaussian kernel.

    :math:`\phi(x) = \frac{1}{\sqrt D}(\cos w_j^\top x, \sin w_j^\top x)_{j \le D}` with :math:`w_j
    \sim \mathcal N(0, \rho^{-2} I)`. Mean features approximate the embedding of the kernel of
    bandwidth :math:`\rho`. The linear layer behind them is not used.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, count: int, bandwidth: float, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.register_buffer("frequencies", torch.randn(math.prod(shape), count, generator=random) / bandwidth)
        self.head = unused_head(2 * count, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``n x ...`` to logits that mean nothing; the head's input is what counts."""
        angles = inputs.flatten(1) @ self.get_buffer("frequencies")
        features = torch.cat([angles.cos(), angles.sin()], dim=1) / math.sqrt(angles.shape[1])
        logits: Tensor = self.head(features)
        return logits


def mean_features(
    target: dd.TargetData,
    *,
    epsilon: float,
    delta: float,
    ipc: Ipc = 10,
    features: int = 2000,
    bandwidth: float | None = None,
    steps: int = 1000,
    learning_rate: float = 0.03,
    accountant: str | IAccountant = "prv",
    counts: Mapping[int, int] | None = None,
    seed: int = 0,
) -> PrivateMethod:
    r"""Return a private method: images match one noisy mean of random features per class.

    Args:
        target: its shape and classes are read, no example.
        epsilon: of the budget, spent on one answer about all examples.
        delta: of the budget.
        ipc: images per class.
        features: number of frequencies :math:`D`.
        bandwidth: of the kernel, in normalised pixels; default: three quarters of the square root
            of the number of pixels.
        steps: of Adam, from noise.
        learning_rate: of Adam.
        accountant: as in `privatize`.
        counts: as in `privatize`.
        seed: of the frequencies, which are public.

    Source: Harder et al. 2021 (arXiv:2002.11603), with free images in place of its generator
    network.
    """
    spec = target.spec
    width = bandwidth or 0.75 * math.sqrt(math.prod(spec.shape))
    module = RandomFourierFeatures(spec.shape, spec.num_classes, features, width, seed)
    return on_kept_answers(
        "mean_features",
        (module.eval(),),
        cites=("dp_merf",),
        factorization=Pixels(ipc=ipc, init="noise"),
        steps=steps,
        optimiser=dd.Optimiser("adam", learning_rate=learning_rate),
        max_grad_norm=1.0,
        epsilon=epsilon,
        delta=delta,
        accountant=accountant,
        counts=counts,
    )
