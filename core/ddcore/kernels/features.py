"""Kernels of the features of given networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import UnsupportedError
from ddcore.parts import Kernel, Network


@dataclass(frozen=True)
class FeatureKernel(Kernel):
    r"""Inner products of the features before the classifier, over one or several networks.

    .. math:: K(x, x') = s\,\frac{1}{M d^{\,p}}
       \sum_{m=1}^M \langle \phi_m(x), \phi_m(x') \rangle + c

    With random networks it is an estimate of their NNGP (RFAD: :math:`s = 2`, :math:`p = 1`,
    :math:`c = 0.01`). With trained ones it is regression on their last layer (FRePO:
    :math:`s = 1`, :math:`p = 0`, :math:`c = 0`).

    Attributes:
        scale, constant: :math:`s` and :math:`c`.
        per_feature: whether the product is divided by the number :math:`d` of features,
            :math:`p = 1`.
    """

    scale: float = 1.0
    constant: float = 0.0
    per_feature: bool = False
    name: ClassVar[str] = "features"
    of_networks: ClassVar[bool] = True

    def embed(self, inputs: Tensor, networks: Sequence[Network]) -> Tensor:
        if not networks:
            raise UnsupportedError("a kernel of features needs networks to take them from")
        features = torch.cat([network.features(inputs) for network in networks], dim=1)
        divisor = features.shape[1] if self.per_feature else len(networks)
        return features.double() * math.sqrt(self.scale / divisor)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T + self.constant
