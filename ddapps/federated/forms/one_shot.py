"""Summaries that do not depend on the global model: each client sends one, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.forms.base import Form
from ddapps.federated.forms.distilling import Work, answer
from ddapps.federated.global_model import Weights, initial_network
from ddapps.federated.roles import Client, Coordinator
from ddapps.federated.terms import Terms
from ddapps.federated.wire import Task
from ddapps.sizing import Compression
from ddcore.kernels import AnalyticKernel
from ddcore.sources import PerturbedNetworks

SOFT_RESET = 1.0
"""Radius of the ball around the first weights from which DOSFL's clients unroll."""


@dataclass(frozen=True)
class OneShot(Form):
    """Any method; the server trains the first global model on the union of what has come so far."""

    adds: ClassVar[bool] = True

    def answer(self, client: Client, task: Task) -> RecordDict:
        return answer(client, task, lambda: Work(self.source(client)))

    def source(self, client: Client) -> PerturbedNetworks | None:
        """Return the networks that clients distil on, where the method does not say."""
        return None

    def next_weights(self, server: Coordinator) -> Weights:
        return server.trained(initial_network(server.settings, server.data.spec))


@dataclass(frozen=True)
class Everything(OneShot):
    """All real examples, in bytes: what summaries are measured against."""

    method: ClassVar[str] = "random"
    whole: ClassVar[bool] = True
    adds: ClassVar[bool] = False

    def check(self, settings: Terms) -> None:
        super().check(settings)
        self.require_defaults(settings, "bytes", "method", "levels", "storage")


@dataclass(frozen=True)
class DOSFL(OneShot):
    """Unrolled training from weights that all share, with soft labels and learned step sizes.

    Clients unroll from weights near the first global ones ("soft reset"). The server takes the same
    steps from those. Each step is on the examples of all clients, at the geometric mean of their
    step sizes.

    Source: Zhou et al. 2020 (arXiv:2009.07999).
    """

    method: ClassVar[str] = "dd"
    adds: ClassVar[bool] = False
    cites: ClassVar[tuple[str, ...]] = ("dosfl",)

    def compression(self, settings: Terms) -> Compression:
        made = super().compression(settings)
        method = made.at(1)
        method = dd.override(method, "factorization.labels", "soft")
        if hasattr(method.matching, "synthetic_batch"):
            method = dd.override(method, "matching.synthetic_batch", None)
        return replace(made, method=method, network=None)

    def source(self, client: Client) -> PerturbedNetworks:
        first = initial_network(client.settings, client.target.spec)
        return PerturbedNetworks(first.module, radius=SOFT_RESET, logits=False)


@dataclass(frozen=True)
class FedD3(OneShot):
    """Kernel ridge regression on every client: KIP with a tangent kernel of four hidden layers.

    Source: Song et al. 2022 (arXiv:2208.11311).
    """

    method: ClassVar[str] = "kip"
    cites: ClassVar[tuple[str, ...]] = ("fedd3",)

    def compression(self, settings: Terms) -> Compression:
        made = super().compression(settings)
        method = made.at(1)
        if method.name == "kip":
            method = dd.override(method, "matching.kernel", AnalyticKernel("ntk", "fc", depth=4))
        return replace(made, method=method, network=None)
