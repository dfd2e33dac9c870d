"""How a network is to be trained on a summary; it travels with the summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import SummaryFormatError, UnknownNameError
from ddcore.settings import require
from ddcore.training.steps import MAX_RATE, Steps


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each example; targets are class ids or distributions."""
    return F.cross_entropy(logits, targets, reduction="none")


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    r"""Return :math:`\frac12\|f(x) - y\|^2` of each example; class ids stand for one-hot vectors."""
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return 0.5 * (logits - targets).square().sum(dim=1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "squared_error": squared_error,
}


@dataclass(frozen=True)
class Recipe:
    """What training on the summary must follow, whatever the protocol.

    Attributes:
        loss: ``cross_entropy`` (class ids or distributions as targets) or ``squared_error`` (targets are regressed).
        learning_rate: replaces the protocol's, where distillation has learned one.
        steps: replaces the protocol's whole schedule, where distillation has learned one.
    """

    loss: str = "cross_entropy"
    learning_rate: float | None = None
    steps: Steps | None = None

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError("loss", self.loss, LOSSES)
        require(
            self.learning_rate is None or (type(self.learning_rate) is float and 0 < self.learning_rate <= MAX_RATE),
            f"a recipe's learning rate must be positive, not {self.learning_rate}",
        )

    @property
    def stored_bytes(self) -> int:
        """Bytes of learned numbers in the recipe."""
        return (0 if self.learning_rate is None else 4) + (0 if self.steps is None else 4 * len(self.steps.rates))

    def to_json(self) -> dict[str, Any]:
        """Return what a summary records."""
        recorded: dict[str, Any] = {"loss": self.loss, "learning_rate": self.learning_rate}
        if self.steps is not None:
            recorded["steps"] = asdict(self.steps) | {"rates": list(self.steps.rates)}
        return recorded

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> Recipe:
        """Rebuild what `to_json` recorded; unknown entries are an error."""
        required, allowed = {"loss", "learning_rate"}, {"loss", "learning_rate", "steps"}
        if not required <= set(config) <= allowed:
            raise SummaryFormatError(f"a recipe has loss, learning_rate and steps, found {sorted(config)[:5]}")
        rate, steps = config["learning_rate"], config.get("steps")
        if steps is not None:
            if set(steps) != {"rates", "per_class", "momentum"} or not isinstance(steps["rates"], list):
                raise SummaryFormatError(
                    f"a recipe's steps have rates, per_class and momentum, found {sorted(steps)[:5]}"
                )
            steps = Steps(tuple(map(_real, steps["rates"])), steps["per_class"], _real(steps["momentum"]))
        return cls(str(config["loss"]), None if rate is None else _real(rate), steps)


def _real(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SummaryFormatError(f"{str(value)[:40]!r} stands in a recipe where a number belongs")
    return float(value)
