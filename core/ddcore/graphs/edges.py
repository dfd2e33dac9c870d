"""Modules that make the weights of a synthetic graph's edges.

Each takes the features, and a generator of random numbers where a run is under way. It returns the
weights, ``n x n``, or ``B x n x n`` for B graphs.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FIRST_TEMPERATURE, LAST_TEMPERATURE, COOLING = 1.0, 0.01, 200
"""Temperatures of relaxed edges, and the number of updates from the first to the last."""
SURE = 5.0
"""Logit of an edge that is there at first; minus that of one that is not."""


class Edges(nn.Module):
    """Makes the weights of a synthetic graph's edges."""

    @abstractmethod
    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the weights."""

    def penalty(self) -> Tensor | None:
        """Return a term of the loss of every step, or None."""
        return None

    def after_step(self) -> None:
        """Take note of an update."""


class GivenEdges(Edges):
    """Weights of edges that stay as they are."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.get_buffer("weights")


class PairwiseSimilarity(Edges):
    """The perceptron of `GraphSimilarity`: features ``n x d`` to weights ``n x n``.

    The first layer's product with a pair is the sum of products with its two nodes. So it costs n
    products, not the square of n.
    """

    def __init__(self, features: int, width: int, depth: int, random: torch.Generator) -> None:
        super().__init__()
        sizes = [2 * features, *(width,) * (depth - 1), 1]
        self.first = nn.Linear(sizes[0], width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes[1:]))
        self.scales = nn.ParameterList(torch.ones(width) for _ in sizes[1:-1])
        self.shifts = nn.ParameterList(torch.zeros(width) for _ in sizes[1:-1])
        with torch.no_grad():
            for layer in (self.first, *self.layers):
                bound = layer.in_features**-0.5
                for parameter in layer.parameters():
                    parameter.uniform_(-bound, bound, generator=random)

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        n, d = features.shape
        weight = self.first.weight
        left, right = F.linear(features, weight[:, :d], self.first.bias), F.linear(features, weight[:, d:])
        values = (left[:, None] + right[None]).flatten(0, 1)
        for layer, scale, shift in zip(self.layers, self.scales, self.shifts, strict=True):
            values = layer(F.relu(F.batch_norm(values, None, None, scale, shift, training=True)))
        logits = values.view(n, n)
        apart = 1 - torch.eye(n, dtype=features.dtype, device=features.device)
        return torch.sigmoid((logits + logits.T) / 2) * apart


class RelaxedEdges(Edges):
    r"""Each pair's edge is there with a probability of its own.

    .. math:: A_{ij} = \mathrm{sigmoid}\Big(\frac{\Omega_{ij} + \Omega_{ji}}{2 \tau}
        + \frac{1}{\tau} \log \frac{u_{ij}}{1 - u_{ij}}\Big), \qquad A_{ii} = 0

    with uniform :math:`u_{ij} = u_{ji}`, a concrete relaxation. Its temperature :math:`\tau` falls
    from 1 to .01 over the first 200 updates. Without a generator an edge is there, with weight 1,
    if its probability is above one half.

    Args:
        weights: at first, 0 or more; the logits :math:`\Omega` start at 5 where there is an edge,
            and at -5 elsewhere.
        density_weight: of the penalty: the mean probability's excess over its first value.

    Source: Jin et al. 2022, one-step gradient matching (arXiv:2206.07746), equation 8 and its code.
    """

    def __init__(self, weights: Tensor, density_weight: float = 0.1) -> None:
        super().__init__()
        self._density_weight = density_weight
        there = (weights > 0).to(weights.dtype)
        self.logits = nn.Parameter(2 * SURE * there - SURE)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("density", there.mean())

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logits = (self.logits + self.logits.transpose(-1, -2)) / 2
        if generator is None:
            return (logits > 0).to(logits.dtype) * self._apart()
        uniform = torch.rand(logits.shape, generator=generator, dtype=logits.dtype).triu()
        uniform = (uniform + uniform.triu(1).transpose(-1, -2)).to(logits.device)
        share = (self.get_buffer("updates") / COOLING).clamp_max(1).to(logits.dtype)
        temperature = FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** share
        noise = torch.special.logit(uniform, eps=torch.finfo(logits.dtype).eps)
        return torch.sigmoid((logits + noise) / temperature) * self._apart()

    def _apart(self) -> Tensor:
        return 1 - torch.eye(self.logits.shape[-1], dtype=self.logits.dtype, device=self.logits.device)

    def penalty(self) -> Tensor:
        excess = F.relu(torch.sigmoid(self.logits).mean() - self.get_buffer("density"))
        return self._density_weight * excess

    def after_step(self) -> None:
        self.get_buffer("updates").add_(1)
