"""What may be said of a graph in public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.graphs.nodes import nodes_of
from ddcore.parts import Identity, Spec
from ddcore.settings import require


@dataclass(frozen=True)
class GraphSpec(Spec):
    """Declared facts of a graph whose nodes are the examples.

    Attributes:
        shape: ``(d,)``, the number of a node's features.
    """

    modality: ClassVar[str] = "graphs"
    connected: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.shape) == 1, f"a node's features are a row of numbers, not of shape {self.shape}")

    def check_inputs(self, inputs: Tensor, title: str) -> None:
        nodes = nodes_of(inputs, f"{title} examples")
        if not bool(torch.isfinite(nodes.graph.features).all()):
            raise InputDataError(f"{title} nodes have features of NaN or infinity: clean the data first")

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> GraphSpec:
        """Return what `to_json` recorded. What is amiss raises, a type too: a stranger wrote it."""
        lists = [config[key] for key in ("shape", "classes", "class_names")]
        require(all(isinstance(value, list) for value in lists), "shape, classes and names are lists")
        require(config["normalisation"] == Identity().describe(), "a graph has no normalisation but the identity")
        return cls(
            shape=tuple(config["shape"]),
            num_classes=config["num_classes"],
            classes=tuple(config["classes"]),
            class_names=tuple(config["class_names"]),
        )
