"""Our grids as NNI's model spaces; imported only where NNI is there."""

from __future__ import annotations

from typing import Any

import nni
from nni.mutable import ensure_frozen
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import model_context
from torch import Tensor, nn

from ddapps.nas.grid import Grid


class Choices(ModelSpace):  # type: ignore[misc]
    """The choices of a space and no network: what a strategy needs to propose candidates.

    Those are built where they are scored.

    Args:
        space: the grid.
    """

    def __init__(self, space: Grid) -> None:
        super().__init__()
        for name, values in space.values().items():
            self.add_mutable(nni.choice(name, list(values)))


class GridModelSpace(ModelSpace):  # type: ignore[misc]
    """A grid for NNI's strategies, with one choice of values per name.

    Args:
        space: the grid.
        shape: of one example.
        num_classes: of the data.
    """

    def __init__(self, space: Grid, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        picked = {}
        for name, values in space.values().items():
            picked[name] = ensure_frozen(self.add_mutable(nni.choice(name, list(values))))
        self.network = space.build(picked, shape, num_classes)

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return the network of a sample, with new weights."""
        with model_context(sample):
            return type(self)(*self.trace_args, **self.trace_kwargs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map examples to logits."""
        output: Tensor = self.network(inputs)
        return output
