"""Features compared by their characteristic functions: the distance of NCFM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.ground.devices import to_device
from ddcore.ground.randomness import default_generator_seeded
from ddcore.matching.distribution.mean_difference import FeatureDistance
from ddcore.parts import MatchingState, Network, Run
from ddcore.settings import require, require_counts

GROUP = "frequencies"


@dataclass(frozen=True)
class FrequencySampler:
    r"""A network that turns noise into frequencies, and learns where two sets differ most.

    Each row of :math:`K \times d` standard normal numbers passes ``depth`` linear layers of d
    units. Each is followed by BatchNorm over the rows, then by leaky ReLU (.2), the last by tanh.
    Frequencies so lie in :math:`(-1, 1)^d`.

    Its parameter group is ``frequencies``. It ascends the distance that the examples descend, by
    the same step.

    Attributes:
        depth: linear layers.

    Source: Wang et al. 2025 (arXiv:2502.20653) and its code, which repeats each row 16 times: the
    mean over frequencies is the same.
    """

    depth: int = 3

    def __post_init__(self) -> None:
        require_counts(depth=self.depth)

    def module(self, width: int) -> nn.Module:
        """Return the network with weights from torch's default generator."""
        layers: list[nn.Module] = []
        for layer in range(self.depth):
            last = layer == self.depth - 1
            norm = nn.BatchNorm1d(width, track_running_stats=False)
            layers += [nn.Linear(width, width), norm, nn.Tanh() if last else nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers)


class SamplerState(MatchingState):
    """The sampler of one run."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {GROUP: list(self.module.parameters())}

    def state_dict(self) -> dict[str, Any]:
        return dict(self.module.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state)


@dataclass(frozen=True)
class CharacteristicFunction(FeatureDistance):
    r"""The distance of empirical characteristic functions at K frequencies.

    .. math:: \sum_c \frac{w}{K} \sum_{k=1}^K \sqrt{\alpha\, (|\Phi_r| - |\Phi_s|)^2
       + 2 \beta\, |\Phi_r| |\Phi_s| (1 - \cos(a_r - a_s))}

    Here :math:`\Phi(t_k) = \frac1n \sum_i e^{\mathrm i \langle t_k, f_i \rangle}` is taken over
    the features of class c, and :math:`a` is its angle. With :math:`\alpha = \beta` the root is
    :math:`\sqrt\alpha\, |\Phi_r - \Phi_s|`.

    Since :math:`\Phi` is a mean over examples, class means of cosines and sines are all that it
    needs of real ones. A sampler needs the features themselves, to learn from.

    Attributes:
        frequencies: K. They are standard normal and drawn for every step, unless a sampler makes
            them.
        amplitude: :math:`\alpha`.
        phase: :math:`\beta`.
        weight: w.
        unit: whether features are scaled to length 1 first.
        sampler: makes the frequencies; None: chance does.

    Source: Wang et al. 2025 (arXiv:2502.20653), equations 4 to 6 and its code.
    """

    frequencies: int = 1024
    amplitude: float = 0.5
    phase: float = 0.5
    weight: float = 1.0
    unit: bool = True
    sampler: FrequencySampler | None = None

    def __post_init__(self) -> None:
        require_counts(frequencies=self.frequencies)
        require(
            min(self.amplitude, self.phase) >= 0 and max(self.amplitude, self.phase) > 0,
            "amplitude and phase must not be negative, and not both 0",
        )
        require(0 < self.weight < float("inf"), f"weight must be above 0, not {self.weight}")
        require(
            self.sampler is None or self.frequencies > 1,
            "the BatchNorm of a sampler needs frequencies=2 or more",
        )

    def start(self, run: Run) -> MatchingState:
        if self.sampler is None:
            return super().start(run)
        (network,) = run.networks.current()
        with default_generator_seeded(run.derive_seed(GROUP)):
            module = self.sampler.module(network.feature_width)
        return SamplerState(module.to(run.device, run.dtype))

    def learns(self) -> bool:
        return self.sampler is not None

    def width(self, network: Network) -> int:
        return 2 * self.frequencies

    def function(self, run: Run, network: Network, state: MatchingState) -> Callable[[Tensor], Tensor]:
        width = network.feature_width
        drawn = torch.randn(self.frequencies, width, generator=run.generator(GROUP))
        noise = to_device(drawn.to(run.dtype), run.device)
        frequencies: Callable[[], Tensor] = lambda: noise  # noqa: E731
        if isinstance(state, SamplerState):
            module = state.module
            wanted = module[0].in_features  # type: ignore[index]
            if wanted != width:
                raise UnsupportedError(
                    f"the sampler makes frequencies of {wanted} features, this network has {width}: use networks of one architecture"
                )
            frequencies = lambda: reversed_gradient(module(noise))  # noqa: E731

        def turned(features: Tensor) -> Tensor:
            with torch.autocast(features.device.type, enabled=False):
                given = features.to(run.dtype)
                return waves(F.normalize(given, dim=1) if self.unit else given, frequencies())

        return turned

    def between(self, synthetic: Tensor, real: Tensor) -> Tensor:
        return self.weight * characteristic_distance(synthetic, real, self.amplitude, self.phase)


def reversed_gradient(values: Tensor) -> Tensor:
    """Return the values, whose gradient is taken the other way round: descent becomes ascent."""
    return 2 * values.detach() - values


def waves(features: Tensor, frequencies: Tensor) -> Tensor:
    r"""Return :math:`\cos \langle t_k, f_i \rangle` and then the sines, ``n x 2K``.

    Args:
        features: :math:`f_i`, ``n x d``.
        frequencies: :math:`t_k`, ``K x d``.
    """
    angles = features @ frequencies.T
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def characteristic_distance(synthetic: Tensor, real: Tensor, amplitude: float, phase: float) -> Tensor:
    r"""Return the mean over frequencies of `CharacteristicFunction`, summed over classes.

    Since :math:`|\Phi_r - \Phi_s|^2 = (|\Phi_r| - |\Phi_s|)^2
    + 2 |\Phi_r| |\Phi_s| (1 - \cos(a_r - a_s))`, it is taken as
    :math:`\sqrt{\beta |\Phi_r - \Phi_s|^2 + (\alpha - \beta) (|\Phi_r| - |\Phi_s|)^2}`, where no
    digits are lost near 0.

    Args:
        synthetic: class means of `waves`, ``classes x 2K``.
        real: the same.
        amplitude: :math:`\alpha`.
        phase: :math:`\beta`.
    """
    ours, theirs = (means.unflatten(1, (2, -1)) for means in (synthetic, real))
    squared = phase * (ours - theirs).square().sum(dim=1)
    if amplitude != phase:
        squared = squared + (amplitude - phase) * (_length(ours) - _length(theirs)).square()
    return _root(squared.clamp_min(0)).mean(dim=1).sum()


def _length(means: Tensor) -> Tensor:
    return _root(means.square().sum(dim=1))


def _root(squared: Tensor) -> Tensor:
    """Return the root; at zero its derivative is zero, not infinite."""
    nothing = squared == 0
    return squared.masked_fill(nothing, 1.0).sqrt().masked_fill(nothing, 0.0)
