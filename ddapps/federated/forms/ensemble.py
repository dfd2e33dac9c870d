"""Models of all clients, sent once: what one-shot federated learning without data would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flwr.app import ConfigRecord, MetricRecord, RecordDict

import ddcore as dd
from ddapps.federated.forms.base import Form
from ddapps.federated.forms.weights import COUNTS, NUM_EXAMPLES, record_of, require_open
from ddapps.federated.global_model import Weights, initial_network
from ddapps.federated.local_training import train_locally
from ddapps.federated.roles import Client, Coordinator
from ddapps.federated.terms import Terms
from ddapps.federated.wire import Task
from ddcore.errors import UnsupportedError
from ddcore.ground import resolve_device


@dataclass(frozen=True)
class Ensemble(Form):
    """Each client trains a model of its own on its data, and sends it with its class sizes.

    The server keeps all of them and averages what they say (`ddapps.federated.ensemble`). Nothing
    but the question goes down.
    """

    sends_summaries: ClassVar[bool] = False
    keeps_models: ClassVar[bool] = True

    def check(self, settings: Terms) -> None:
        require_open(self, settings)
        self.require_defaults(settings, "rounds")

    def answer(self, client: Client, task: Task) -> RecordDict:
        settings = client.settings
        network = initial_network(settings, client.target.spec).to(resolve_device(settings.device))
        trained = train_locally(client, network, task.round)
        state = {name: weight.detach().cpu() for name, weight in trained.module.state_dict().items()}
        return model_content(state, settings, client.target)

    def next_weights(self, server: Coordinator) -> Weights:
        raise UnsupportedError("an ensemble has no weights of its own: its models stay apart")


def model_content(weights: Weights, settings: Terms, target: dd.TargetData) -> RecordDict:
    """Return the content of a reply with a client's model."""
    key, record = record_of(weights, settings.transport)
    counts = target.counts()
    sizes = ConfigRecord({COUNTS: [counts.get(class_id, 0) for class_id in range(target.spec.num_classes)]})
    metrics = MetricRecord({NUM_EXAMPLES: len(target.train)})
    return RecordDict({key: record, COUNTS: sizes, "metrics": metrics})
