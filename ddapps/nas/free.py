"""Scores of an architecture that nothing is trained for: what every proxy has to beat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ddapps.nas.failures import failures_of_a_candidate
from ddapps.nas.measurement import Counted
from ddcore import __version__
from ddcore.errors import CandidateError, UnknownNameError
from ddcore.evaluation import TrainingSource
from ddcore.ground import derive_seed, generator, resolve_device
from ddcore.parts import TargetData, architecture_label, as_architecture

BATCH = 64
"""Examples of the batch that activation codes are read on."""
_ACTIVATIONS = (
    "relu relu_ leaky_relu leaky_relu_ sigmoid sigmoid_ tanh tanh_ gelu gelu_ silu silu_ elu elu_ celu celu_ selu selu_ "
    "softplus hardtanh hardtanh_ hardswish hardswish_ hardsigmoid hardsigmoid_ mish mish_ log_sigmoid_forward _prelu_kernel"
)
ACTIVATIONS = frozenset(getattr(torch.ops.aten, name) for name in _ACTIVATIONS.split())
"""Operations whose input is read as a code, however a network calls them."""


def parameters(module: nn.Module, inputs: Tensor) -> float:
    """Return the number of trainable parameters."""
    return float(sum(weight.numel() for weight in module.parameters() if weight.requires_grad))


def multiply_adds(module: nn.Module, inputs: Tensor) -> float:
    """Return the multiply-adds of one example's forward pass: convolutions and matrix products."""
    module.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(inputs[:1])
    return counter.get_total_flops() / 2


def naswot(module: nn.Module, inputs: Tensor) -> float:
    r"""Return how well an untrained network tells the examples of a batch apart.

    .. math:: \log \det (K + I), \qquad K_{ij} = \sum_a [c_{ia} = c_{ja}]

    with the binary code :math:`c_{ia}`: whether what goes into activation :math:`a` is positive
    for example :math:`i`. It is defined for every elementwise activation, saturating ones included,
    and needs no gradients. The identity keeps it finite where a network cannot tell two examples
    apart; a network without activations has 0.

    Args:
        module: with its first weights.
        inputs: the batch, ``n x ...``.

    Source: Mellor et al. 2021 (arXiv:2006.04647), who leave out the identity.
    """
    module.train()
    codes = _Codes(len(inputs))
    with torch.no_grad(), codes:
        module(inputs)
    return float(torch.linalg.slogdet(codes.kernel + torch.eye(len(inputs), dtype=torch.float64)).logabsdet)


FREE: Mapping[str, Callable[[nn.Module, Tensor], float]] = {
    "parameters": parameters,
    "flops": multiply_adds,
    "naswot": naswot,
}
"""Scores by name; each takes a network with its first weights, and a batch of real examples."""
DRAWN = ("naswot",)
"""Those that depend on the weights and the batch, and so on the seed."""


class _Codes(TorchDispatchMode):
    """Adds up how often two examples have the same code, over all activations that are called."""

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernel = torch.zeros(count, count, dtype=torch.float64)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "overloadpacket", None) in ACTIVATIONS and len(args[0]) == len(self.kernel):
            signs = torch.where(args[0].flatten(1) > 0, 1.0, -1.0)
            agreeing = (signs @ signs.T + signs.shape[1]) / 2
            self.kernel += agreeing.double().cpu()
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class FreeEvaluator:
    """One of `FREE` as a function of an architecture.

    Attributes:
        kind: its name.
        target: whose training split the batch is drawn from.
        seed: of weights and batch.
        device: ``auto``, ``cpu``, ``cuda``, ...
    """

    kind: str
    target: TargetData
    seed: int = 0
    device: str = "auto"
    MEASURES: ClassVar[type[Counted]] = Counted

    def __post_init__(self) -> None:
        if self.kind not in FREE:
            raise UnknownNameError("free score", self.kind, FREE)

    def __call__(self, network: object) -> float:
        """Return the score of an architecture.

        Raises:
            CandidateError: it crashed, or the score is not finite.
        """
        return self.once(network).value

    def once(self, network: object) -> Counted:
        """Return the score and what it cost.

        Raises:
            CandidateError: it crashed, or the score is not finite.
        """
        started = time.monotonic()
        with failures_of_a_candidate():
            architecture, spec = as_architecture(network), self.target.spec
            drawn = derive_seed(self.seed, "weights", architecture_label(architecture))
            device = resolve_device(self.device)
            built = architecture.build(spec.shape, spec.num_classes, seed=drawn).to(device)
            value = FREE[self.kind](built.module, self._batch(device))
        if not math.isfinite(value):
            raise CandidateError(f"{self.kind} is {value}")
        return Counted(value, time.monotonic() - started)

    def _batch(self, device: torch.device) -> Tensor:
        count = len(self.target.train)
        places = torch.randperm(count, generator=generator(self.seed, "free scores"))[:BATCH]
        return TrainingSource.of(self.target, device, torch.float32).batch_of(places).inputs

    def facts(self) -> dict[str, Any]:
        """Return what the score depends on besides the candidate, as JSON data."""
        return {
            "free": self.kind,
            "data": self.target.fingerprint(),
            "seed": self.seed if self.kind in DRAWN else None,
            "device": str(resolve_device(self.device)),
            "version": __version__,
        }
