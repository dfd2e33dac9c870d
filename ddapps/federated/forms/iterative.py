"""Summaries matched around the present global model, round after round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.agreement import Agreement, parsed
from ddapps.federated.forms.base import Form
from ddapps.federated.forms.distilling import Work, answer
from ddapps.federated.global_model import Weights, with_weights
from ddapps.federated.roles import Client, Coordinator
from ddapps.federated.summary_size import sized
from ddapps.federated.terms import Terms
from ddapps.federated.wire import Task
from ddcore.errors import SummaryFormatError
from ddcore.evaluation import predict
from ddcore.ground import generator, resolve_device
from ddcore.images import Pixels
from ddcore.settings import require
from ddcore.sources import PerturbedNetworks
from ddcore.summary import DataSummary, Part


@dataclass(frozen=True)
class FedDM(Form):
    """Means of features and logits are matched under weights near the global ones.

    They are drawn from a ball around them. The server goes on training the global model, on the
    last summary of every client.

    Source: Xiong et al. 2022 (arXiv:2207.09653).
    """

    sends_weights: ClassVar[bool] = True
    stays: ClassVar[bool] = False
    cites: ClassVar[tuple[str, ...]] = ("feddm",)

    def answer(self, client: Client, task: Task) -> RecordDict:
        return answer(client, task, lambda: Work(self.source(client, task)))

    def source(self, client: Client, task: Task) -> PerturbedNetworks:
        """Return networks around the global model."""
        return PerturbedNetworks(client.network(_sent(task)).module, radius=client.settings.radius)

    def next_weights(self, server: Coordinator) -> Weights:
        return server.trained(with_weights(server.settings, server.data.spec, server.weights))


@dataclass(frozen=True)
class FedMK(FedDM):
    """FedDM's exchange with two means of meta-knowledge condensation.

    A client starts from another client's last summary, where it has the same classes. And its
    examples are drawn the more often the lower their loss under the global model is.

    Source: Liu et al. 2022b (arXiv:2209.14851).
    """

    sends_knowledge: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("feddm", "fedmk")

    def check(self, settings: Terms) -> None:
        super().check(settings)
        require(
            not settings.private,
            "fedmk draws examples by their loss, which is not accounted for: epsilon = 0, or form = 'feddm'",
        )
        require(
            isinstance(self.compression(settings).factorization, Pixels),
            "fedmk starts from another client's images: choose a method whose factorization is pixels",
        )

    def answer(self, client: Client, task: Task) -> RecordDict:
        return answer(client, task, lambda: self._work(client, task))

    def _work(self, client: Client, task: Task) -> Work:
        target, source = easily_fitted(client, _sent(task)), self.source(client, task)
        start = None if task.knowledge is None else begun_from(client, target, task, source)
        return Work(source, target, start)


def _sent(task: Task) -> Weights:
    if task.weights is None:
        raise SummaryFormatError("the message has no weights: its server does not speak this form")
    return task.weights


def easily_fitted(client: Client, weights: Weights) -> dd.TargetData:
    r"""Return a client's data drawn again, with replacement.

    Example i of a class is drawn with chance :math:`\propto 1 / (1 + \ell_i)`.
    """
    target, settings = client.target, client.settings
    logits = predict(client.network(weights), target.train, target.spec, resolve_device(settings.device))
    chances = 1 / (1 + F.cross_entropy(logits, target.train.targets, reduction="none"))
    random = generator(settings.seed, "dynamic weights", client.name)
    drawn = []
    for class_id, count in client.counts().items():
        members = (target.train.targets == class_id).nonzero().flatten()
        drawn.append(members[torch.multinomial(chances[members], count, replacement=True, generator=random)])
    return target.with_train(torch.cat(drawn).sort().values, target.name)


def begun_from(client: Client, target: dd.TargetData, task: Task, source: PerturbedNetworks) -> DataSummary:
    """Return the summary that a client starts from.

    It holds another's images of the classes that both have, and its own real ones otherwise.
    """
    assert task.knowledge is not None
    tensors, settings = task.knowledge
    method = sized(client, target, source)
    own = dd.distill(target, method.with_steps(0), seed=client.seed(task.round), device=client.settings.device)
    (examples,) = own.examples()
    theirs = Agreement(client.settings, target.spec).summary_of(tensors, parsed(settings))
    batch, known = examples.decode(), {c: theirs.tensors()[0][i] for c, i in theirs.members().items()}
    inputs = batch.inputs.detach().clone()
    for class_id in examples.classes:
        mine = examples.indices_of(class_id)
        given = known.get(class_id, inputs[mine])[: len(mine)]
        inputs[mine[: len(given)]] = given
    with torch.no_grad():
        examples.groups()["images"][0].copy_(inputs)
    return replace(own, parts=(Part(own.parts[0].factorization, examples.stored()),))
