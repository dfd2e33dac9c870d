"""The Gaussian mechanism, by Opacus: clipped vectors are added up, and noise is added once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from opacus.grad_sample import GradSampleHooks
from opacus.optimizers import DPOptimizer
from opacus.utils.uniform_sampler import UniformWithReplacementSampler
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts import Context, Network

ROWS = (
    "this network does not treat an example as one row of its layers' inputs, so one example's part cannot be bounded: use another "
    "network"
)


class NoisySum:
    r"""One release :math:`\sum_i v_i \min(1, C / \|v_i\|) + \mathcal N(0, \sigma^2 C^2 I)`.

    An example's vector :math:`v_i` spans all parameters: their ``grad_sample``, ``n x ...`` each,
    set before every `add`.

    Args:
        parameters: leaves of the shapes that are released; their values are not changed.
        noise_multiplier: :math:`\sigma`.
        max_norm: :math:`C`.
        generator: of the noise, on the parameters' device.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], noise_multiplier: float, max_norm: float, generator: torch.Generator
    ) -> None:
        self._parameters = list(parameters)
        # secure_mode draws every noise as a sum of four, against attacks on the representation of
        # floats.
        self._optimiser = DPOptimizer(
            torch.optim.SGD(self._parameters, lr=0.0),
            noise_multiplier=noise_multiplier,
            max_grad_norm=max_norm,
            expected_batch_size=None,
            loss_reduction="sum",
            generator=generator,
            secure_mode=True,
        )
        self._optimiser.zero_grad(set_to_none=True)

    def add(self, examples: int) -> None:
        """Clip the vectors at hand and add them to the sum: one of each of so many examples.

        They are clipped in the parameters' precision. A vector that is not finite has no norm, and
        counts as zero.

        Raises:
            UnsupportedError: there is not one vector per example, as when a network folds an
                example into several rows.
        """
        for parameter in self._parameters:
            vectors = getattr(parameter, "grad_sample", None)
            if not isinstance(vectors, Tensor) or len(vectors) != examples:
                raise UnsupportedError(ROWS)
            give(parameter, vectors.to(parameter.dtype))
        before = [None if p.summed_grad is None else p.summed_grad.clone() for p in self._parameters]  # type: ignore[attr-defined]
        vectors_at_hand = [_of(p) for p in self._parameters]
        self._accumulate()
        if all(bool(p.summed_grad.isfinite().all()) for p in self._parameters):  # type: ignore[attr-defined]
            return
        finite = torch.stack([v.flatten(1).sum(dim=1).isfinite() for v in vectors_at_hand]).all(dim=0)
        for parameter, earlier, vectors in zip(self._parameters, before, vectors_at_hand, strict=True):
            parameter.summed_grad = earlier  # type: ignore[attr-defined]
            give(parameter, torch.where(finite.view(-1, *[1] * parameter.ndim), vectors, 0))
        self._accumulate()

    def _accumulate(self) -> None:
        self._optimiser.signal_skip_step(True)
        self._optimiser.pre_step()
        self._optimiser.zero_grad(set_to_none=True)

    def release(self) -> tuple[Tensor, ...]:
        """Return the sum with its noise. Nothing drawn gives noise alone."""
        for parameter in self._parameters:
            give(parameter, torch.zeros((0, *parameter.shape), device=parameter.device, dtype=parameter.dtype))
        self._optimiser.signal_skip_step(False)
        self._optimiser.pre_step()
        released = tuple(p.grad.detach().clone() for p in self._parameters if p.grad is not None)
        self._optimiser.zero_grad(set_to_none=True)
        return released


def give(parameter: nn.Parameter, vectors: Tensor) -> None:
    """Hand per-example vectors, ``n x shape``, to the next `NoisySum.add`."""
    parameter.grad_sample = vectors  # type: ignore[attr-defined]


def _of(parameter: nn.Parameter) -> Tensor:
    vectors: Tensor = parameter.grad_sample  # type: ignore[attr-defined]
    return vectors


def poisson_draw(size: int, sample_rate: float, generator: torch.Generator) -> Tensor:
    """Return a draw's indices: each of ``size`` examples has the chance ``sample_rate``."""
    sampler = UniformWithReplacementSampler(num_samples=size, sample_rate=sample_rate, generator=generator, steps=1)
    return torch.tensor(next(iter(sampler)), dtype=torch.int64)


def gradients_at_once(network: Network, weights: Sequence[str], run: Context) -> int:
    """Return how many examples' gradients are held at once.

    On a processor, those of about 20 MB: they still fit its cache.
    """
    if run.device.type != "cpu":
        return run.gradient_micro_batch
    sizes = {name: weight.numel() for name, weight in network.module.named_parameters()}
    fitting = 5_000_000 // max(1, sum(sizes[name] for name in weights))
    return max(1, min(run.gradient_micro_batch, max(8, fitting)))


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
