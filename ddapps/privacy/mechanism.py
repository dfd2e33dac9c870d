"""The Gaussian mechanism on integers: clipped vectors are added up, and noise is added once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from opacus.grad_sample import GradSampleHooks
from torch import Tensor, nn

from ddapps.privacy.entropy import Entropy
from ddapps.privacy.rounded_normal import rounded_normal
from ddcore.errors import UnsupportedError
from ddcore.ground import fitting
from ddcore.parts import Context, Network

ROWS = (
    "this network does not treat an example as one row of its layers' inputs, so one example's part cannot be bounded: use another "
    "network"
)


GRID = 2**22
"""Steps of the public grid that make up one clipping norm."""
CLIPPING_BYTES = 40
"""Bytes per number of an example's vector that is clipped: the number and four doubles."""


class NoisySum:
    r"""One release of a clipped sum, in whole steps of a public grid.

    .. math:: \gamma \Big\lfloor \sum_i z_i + \mathcal N(0, s^2 I) \Big\rceil, \qquad
        z_i = \mathrm{trunc}\big(v_i \min(1, C / \|v_i\|) / \gamma\big), \quad
        \gamma = C / 2^{22}, \quad s = \lceil 2^{22} \sigma \rceil

    An example's part :math:`z_i` is a vector of integers of length :math:`2^{22}` at most. This is
    checked on the integers, and is the sensitivity. Integers below 2^53 add up in float64 without
    an error, in any order. The sum with its noise, rounded, is the Gaussian mechanism on the
    integers, and rounding comes after it. So every account of the Gaussian mechanism holds as it
    is. No bit of a float tells of a sum: what is released are integers that any sum could have
    given. The rounded noise is drawn exactly (`rounded_normal`).

    An example's vector :math:`v_i` spans all parameters: their ``grad_sample``, ``n x ...`` each,
    set before every `add`.

    Args:
        parameters: leaves of the shapes that are released; their values are not changed.
        noise_multiplier: :math:`\sigma`; 0 for tests: no noise.
        max_norm: :math:`C`.
        entropy: of the noise.

    Source: Mironov 2012 (what floats tell); Dwork et al. 2006; Canonne et al. 2020
    (arXiv:2004.00010) draw a discrete Gaussian instead, whose subsampling has accounts of its own.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], noise_multiplier: float, max_norm: float, entropy: Entropy
    ) -> None:
        self._parameters = list(parameters)
        self._sums = [torch.zeros(p.shape, dtype=torch.float64, device=p.device) for p in self._parameters]
        self._scale, self._step, self._entropy = math.ceil(noise_multiplier * GRID), max_norm / GRID, entropy

    def add(self, examples: int) -> None:
        """Clip the vectors at hand and add them to the sum: one of each of so many examples.

        A vector that is not finite counts as zero.

        Raises:
            UnsupportedError: there is not one vector per example, as when a network folds an
                example into several rows.
        """
        vectors = []
        for parameter in self._parameters:
            given = getattr(parameter, "grad_sample", None)
            if not isinstance(given, Tensor) or len(given) != examples:
                raise UnsupportedError(ROWS)
            vectors.append(given.detach().double().flatten(1) / self._step)
            parameter.grad_sample = None  # type: ignore[attr-defined]
        for total, parts in zip(self._sums, whole_parts(vectors), strict=True):
            total += parts.sum(dim=0).view_as(total)

    def release(self) -> tuple[Tensor, ...]:
        """Return the sum with its noise. Nothing drawn gives noise alone."""
        released = []
        for parameter, total in zip(self._parameters, self._sums, strict=True):
            if self._scale:
                noise = rounded_normal(self._scale, total.numel(), self._entropy)
                total += torch.from_numpy(noise).to(total).view_as(total)
            released.append((total * self._step).to(parameter.dtype))
            total.zero_()
        return tuple(released)


def whole_parts(vectors: Sequence[Tensor]) -> list[Tensor]:
    """Return each example's vector, clipped to a norm of `GRID`, cut to whole numbers.

    Their squares add up to at most ``GRID ** 2``, exactly.

    Args:
        vectors: one tensor ``n x d`` per parameter, float64, in steps of the grid.
    """
    norms = torch.stack([v.square().sum(dim=1) for v in vectors]).sum(dim=0).sqrt()
    finite = norms.isfinite()
    factors = torch.where(finite, (GRID / norms).clamp_max(1.0), 0.0)
    return shortened([(torch.where(finite[:, None], v, 0.0) * factors[:, None]).trunc_() for v in vectors])


def shortened(whole: list[Tensor]) -> list[Tensor]:
    """Return vectors of whole numbers, those longer than `GRID` made shorter.

    Their squares add up exactly here. So this holds whatever the float norm was wrong by.
    """
    while True:
        over = torch.stack([w.square().sum(dim=1) for w in whole]).sum(dim=0) > GRID**2
        if not bool(over.any()):
            return whole
        shorter = torch.where(over, 1 - 2.0**-20, 1.0)[:, None]
        whole = [(w * shorter).trunc_() for w in whole]


def give(parameter: nn.Parameter, vectors: Tensor) -> None:
    """Hand per-example vectors, ``n x shape``, to the next `NoisySum.add`."""
    parameter.grad_sample = vectors  # type: ignore[attr-defined]


def poisson_draw(size: int, sample_rate: float, entropy: Entropy) -> Tensor:
    """Return a draw's indices: each of ``size`` examples has the chance ``sample_rate``.

    An example takes part if its word of 64 bits is below that share of all words, rounded down.
    """
    share = math.floor(sample_rate * 2**64)
    if share >= 2**64:
        return torch.arange(size)
    return torch.from_numpy(np.flatnonzero(entropy.words(size) < np.uint64(share)))


def gradients_at_once(network: Network, weights: Sequence[str], run: Context) -> int:
    """Return how many examples' gradients are held at once.

    On a processor, those of about 20 MB: they still fit its cache. On a GPU, those that take half
    of its free memory while they are clipped.
    """
    sizes = {name: weight.numel() for name, weight in network.module.named_parameters()}
    numbers = max(1, sum(sizes[name] for name in weights))
    if run.device.type != "cpu":
        return fitting(CLIPPING_BYTES * numbers, run.device, run.gradient_micro_batch)
    return max(1, min(run.gradient_micro_batch, max(8, 5_000_000 // numbers)))


@contextmanager
def per_example_gradients(module: nn.Module) -> Iterator[None]:
    """Let backward passes inside the block leave per-example gradients in ``grad_sample``.

    Weights that take gradients have them.

    Hooks listen on modules in training mode alone. Those that own weights are put into it, which
    changes nothing of what they compute: `require_private` keeps out those where it would. Dropout
    and the like stay as they are.
    """
    owners = [m for m in module.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    modes = [(m, m.training) for m in owners]
    try:
        hooks = GradSampleHooks(module, loss_reduction="sum")
    except (NotImplementedError, ValueError) as error:
        raise UnsupportedError(f"Opacus has no per-example gradients for this network: {error}") from error
    try:
        for owner in owners:
            owner.training = True
        yield
    finally:
        for owner, mode in modes:
            owner.training = mode
        hooks.cleanup()
