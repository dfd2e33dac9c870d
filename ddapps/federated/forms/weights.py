"""Weights, as federated averaging sends them: what summaries are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from ddapps.federated.forms.base import Form
from ddapps.federated.global_model import Weights
from ddapps.federated.local_training import train_locally
from ddapps.federated.roles import Client, Coordinator
from ddapps.federated.terms import Terms
from ddapps.federated.transport import PLAIN, TRANSPORTS, arrays_of, encoded
from ddapps.federated.wire import Task
from ddcore.errors import SummaryFormatError, UnsupportedError
from ddcore.parts import NoAugmentation
from ddcore.settings import require

ARRAYS, NUM_EXAMPLES, COUNTS = "arrays", "num-examples", "counts"


@dataclass(frozen=True)
class ModelWeights(Form):
    """The client trains the global model and sends its weights; Flower's strategies average them.

    Attributes:
        proximal: whether local training is held near the global weights (FedProx).
    """

    proximal: bool = False
    sends_summaries: ClassVar[bool] = False
    sends_weights: ClassVar[bool] = True

    def check(self, settings: Terms) -> None:
        require_open(self, settings)

    def answer(self, client: Client, task: Task) -> RecordDict:
        raise UnsupportedError("weights are asked for by Flower's own strategies")

    def next_weights(self, server: Coordinator) -> Weights:
        raise UnsupportedError("weights are averaged by Flower's own strategies")

    def reply(self, client: Client, content: RecordDict) -> RecordDict:
        """Return the reply to one of Flower's own strategies."""
        network = client.network(arrays_of(weights_in(content)))
        (config,) = (record for key, record in content.config_records.items() if key not in TRANSPORTS)
        mu = float(config.get("proximal-mu", 0.0)) if self.proximal else 0.0  # type: ignore[arg-type]
        trained = train_locally(client, network, int(config["server-round"]), proximal_mu=mu)  # type: ignore[arg-type]
        state = {name: weight.detach().cpu() for name, weight in trained.module.state_dict().items()}
        key, record = record_of(state, client.settings.transport)
        return RecordDict({key: record, "metrics": MetricRecord({NUM_EXAMPLES: len(client.target.train)})})


def require_open(form: Form, settings: Terms) -> None:
    """Raise unless the settings suit a form that sends trained weights as they are."""
    form.require_defaults(settings, "screening", "weighting", "bytes", "method", "levels", "storage")
    augmentation = settings.training.training.augmentation
    require(
        not settings.augmented or not isinstance(augmentation, NoAugmentation),
        f"protocol {settings.protocol!r} augments nothing: augmented = False, or a protocol that does, such as 'dsa'",
    )
    if settings.private:
        raise UnsupportedError(
            "weights are sent as they are: for privacy choose form 'one-shot' or 'feddm' with epsilon"
        )


def record_of(weights: Weights, transport: str) -> tuple[str, ArrayRecord | ConfigRecord]:
    """Return weights in a transport, and the key of their record in a message."""
    return ARRAYS if transport == PLAIN else transport, encoded(weights, transport)


def weights_in(content: RecordDict) -> ArrayRecord | ConfigRecord:
    """Return the record of a message that holds weights: of arrays, or of compressed bytes.

    Raises:
        SummaryFormatError: there is none, or there are several.
    """
    packed = [record for key, record in content.config_records.items() if key in TRANSPORTS]
    found: list[ArrayRecord | ConfigRecord] = [*content.array_records.values(), *packed]
    if len(found) != 1:
        raise SummaryFormatError(f"a message has one record of weights, not {len(found)}: it speaks another form")
    return found[0]
