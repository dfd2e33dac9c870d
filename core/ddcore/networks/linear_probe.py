"""A linear classifier on a frozen module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts import Architecture, plain_copy, weights_sha256
from ddcore.settings import require


@dataclass(frozen=True)
class LinearProbe(Architecture):
    """A linear layer on the features of a given module, whose weights stay as they are.

    The module is copied, and runs in evaluation mode. It sees examples normalised as those of the
    data are.

    Attributes:
        body: maps ``n x ...`` to features ``n x d``, or to what can be flattened to them.
        std: standard deviation of the layer's first weights. Its biases start at 0.

    Source: Cazenavette et al. 2025 (arXiv:2511.16674) and its code.
    """

    body: nn.Module | None = None
    std: float = 0.01
    name: ClassVar[str] = "linear_probe"

    def __post_init__(self) -> None:
        require(0 < self.std < float("inf"), f"std must be above 0, not {self.std}")

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        if self.body is None:
            raise UnsupportedError("a linear probe needs a module that gives features: LinearProbe(module)")
        body = Frozen(plain_copy(self.body).cpu().float())
        try:
            with torch.no_grad():
                features = body(torch.zeros(2, *shape))
        except RuntimeError as error:
            raise UnsupportedError(f"the body cannot take examples of shape {shape}: {error}") from error
        if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != 2:
            raise UnsupportedError(
                f"the body must give a row of features per example, not {getattr(features, 'shape', type(features).__name__)}"
            )
        head = nn.Linear(features.flatten(1).shape[1], num_classes)
        nn.init.normal_(head.weight, std=self.std)
        nn.init.zeros_(head.bias)
        return nn.Sequential(body, nn.Flatten(), head)

    def describe(self) -> dict[str, Any]:
        """Record the body's class and a hash of its weights."""
        body = None if self.body is None else [type(self.body).__name__, weights_sha256(self.body)]
        return {"type": "LinearProbe", "body": body, "std": self.std}


class Frozen(nn.Module):
    """A module whose weights are constants: no optimiser and no checkpoint sees them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for part in module.modules():
            held = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
            for name, tensor in held:
                delattr(part, name)
                part.register_buffer(name, tensor.detach(), persistent=False)
        self.module = module
        self.train(False)

    def train(self, mode: bool = True) -> Frozen:
        super().train(False)
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.module(inputs)
        return features
