"""How a network is to be trained on a summary; it travels with the summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import UnknownNameError
from ddcore.settings import require


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
    """

    loss: str = "cross_entropy"
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError("loss", self.loss, LOSSES)
        require(
            self.learning_rate is None or 0 < self.learning_rate < float("inf"),
            f"a recipe's learning rate must be positive, not {self.learning_rate}",
        )

    @property
    def stored_bytes(self) -> int:
        """Bytes of learned numbers in the recipe."""
        return 0 if self.learning_rate is None else 4

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> Recipe:
        """Rebuild what `describe` recorded."""
        rate = config.get("learning_rate")
        return cls(str(config["loss"]), None if rate is None else float(rate))
