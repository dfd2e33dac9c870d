"""`InitialWeights`: the weights that the learned steps of a summary start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError, UnsupportedError
from ddcore.parts.architecture import ARCHITECTURES, Architecture, architecture_label, parse_architecture, rebuilt
from ddcore.parts.network import Network, find_head
from ddcore.parts.spec import Spec


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """A named network with its first weights, in float32. A summary that has it is for no other.

    Attributes:
        architecture: its name, with settings in brackets.
        weights: parameters and buffers by name.
    """

    architecture: str
    weights: Mapping[str, Tensor]

    @classmethod
    def of(cls, network: Network, architecture: Architecture) -> InitialWeights:
        """Return the present weights of a network.

        Raises:
            UnsupportedError: the architecture has no name by which it is built again.
        """
        if architecture.name not in ARCHITECTURES:
            raise UnsupportedError("a summary can hold the weights of named networks alone: name one, such as convnet")
        weights = {
            name: (t.float() if t.is_floating_point() else t).detach().cpu().clone()
            for name, t in network.module.state_dict().items()
        }
        return cls(architecture_label(architecture), weights)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(t.numel() * t.element_size() for t in self.weights.values())

    def network(self, spec: Spec, dtype: torch.dtype = torch.float32) -> Network:
        """Return a new network on the CPU that has these weights."""
        module = rebuilt(self.architecture, spec.shape, spec.num_classes, self.weights).to(dtype)
        return Network(module, find_head(module, spec.shape, spec.num_classes))

    def require(self, architecture: Architecture) -> None:
        """Raise `UnsupportedError` unless ``architecture`` is that of these weights."""
        if architecture != parse_architecture(self.architecture):
            raise UnsupportedError(
                f"this summary's steps start from stored weights of {self.architecture}: evaluate it on that network, not on "
                f"{architecture_label(architecture)}"
            )

    @classmethod
    def restore(cls, config: Mapping[str, Any], stored: Mapping[str, Tensor], spec: Spec) -> InitialWeights:
        """Return the weights that ``stored`` holds.

        Raises:
            SummaryFormatError: they are not those of the network that ``config`` names.
        """
        if set(config) != {"architecture"} or not isinstance(config["architecture"], str):
            raise SummaryFormatError(f"initial weights name their architecture, found {sorted(map(str, config))[:5]}")
        found = cls(config["architecture"], stored)
        own = found.network(spec).module.state_dict()
        wrong = sorted(name for name, tensor in stored.items() if tensor.dtype != own[name].dtype)
        if wrong:
            raise SummaryFormatError(f"initial weights must be float32, buffers as the network has them: {wrong[:5]}")
        return found
