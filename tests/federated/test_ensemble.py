"""Models of all clients, kept apart: what the server takes, and how it weighs what they say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from flwr.app import ConfigRecord, Message, RecordDict

import ddcore as dd
from ddapps.federated import InProcessGrid, ServerData, client_app, run_server, simulate
from ddapps.federated.ensemble import class_weights
from ddapps.federated.forms.weights import weights_in
from ddapps.federated.global_model import with_weights
from ddapps.federated.transport import arrays_of, encoded
from ddcore.errors import SettingsError
from ddcore.evaluation import predict
from tests.federated.conftest import quick
from tests.stamped import stamped

SETTINGS = quick(form="ensemble", network="mlp(width=16)", transport="uint8", local_epochs=20, learning_rate=0.1)


def test_models_of_clients_with_other_classes_know_them_all_together() -> None:
    """Each client knows two classes, and would say one of its own of every picture."""
    target = stamped([60] * 4, [30] * 4)
    parts = [target.of_classes([0, 1]), target.of_classes([2, 3])]
    outcome = simulate(SETTINGS, parts, ServerData.of(target))
    assert outcome.accuracy == 100.0
    assert outcome.bytes_up > 5 * outcome.bytes_down and outcome.union is None
    for node in (1, 2):
        alone = {name.split("/")[1]: w for name, w in outcome.weights.items() if name.startswith(f"{node}/")}
        network = with_weights(SETTINGS, target.spec, alone)
        said = predict(network, target.test, target.spec, torch.device("cpu")).argmax(dim=1)  # type: ignore[arg-type]
        assert float((said == target.test.targets).double().mean()) == 0.5  # type: ignore[union-attr]


def test_models_say_of_each_class_as_much_as_they_have_of_it() -> None:
    found = class_weights([(30, 0, 0), (10, 5, 0)], cap=10.0)
    assert torch.allclose(found, torch.tensor([[0.75, 0.0, 0.5], [0.25, 1.0, 0.5]], dtype=torch.float64))
    lying = class_weights([(10**9, 10, 0), (10, 10, 0)], cap=2.0)
    assert float(lying[0, 0]) == pytest.approx(2 / 3)


class Edited(InProcessGrid):
    """The first client's class sizes are others'."""

    sizes: Any = None

    def deliver(self, message: Message) -> Message | None:
        reply = super().deliver(message)
        if message.metadata.dst_node_id == 1 and reply is not None and reply.has_content():
            reply.content = RecordDict({**reply.content, "counts": ConfigRecord({"counts": self.sizes})})
        return reply


@pytest.mark.parametrize(
    ("sizes", "reason"), [([1] * 9, "class sizes are 10 numbers"), ([1] * 9 + [-1], "'-1' stands where a number")]
)
def test_a_model_with_false_class_sizes_does_not_count(
    sizes: list[int], reason: str, parts: list[dd.TargetData], data: ServerData
) -> None:
    settings = quick(form="ensemble", local_epochs=1, min_clients=2)
    grid = Edited(client_app(lambda c: parts[int(c.node_config["partition-id"])]), 2, settings.to_config())
    grid.sizes = sizes
    outcome = run_server(grid, settings, data)
    assert [r.node for r in outcome.rejections] == [1] and reason in outcome.rejections[0].reason
    assert {name.split("/")[0] for name in outcome.weights} == {"2"}
    alone = simulate(settings, [parts[1]], data)
    assert outcome.accuracy > 0 and alone.history[0]["clients"] == 1


class Huge(InProcessGrid):
    """The first client's weights are finite, and what they make of an image is not."""

    def deliver(self, message: Message) -> Message | None:
        reply = super().deliver(message)
        if message.metadata.dst_node_id == 1 and reply is not None:
            weights = arrays_of(weights_in(reply.content))
            huge = {name: torch.full_like(weight, 1e38) for name, weight in weights.items()}
            reply.content = RecordDict({**reply.content, "arrays": encoded(huge, "float32")})
        return reply


def test_a_model_that_gives_no_numbers_does_not_silence_the_others(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    settings = quick(form="ensemble", local_epochs=1, min_clients=2)
    app = client_app(lambda c: parts[int(c.node_config["partition-id"])])
    outcome = run_server(Huge(app, 2, settings.to_config()), settings, data)
    (rejection,) = outcome.rejections
    assert rejection.node == 1 and "not finite" in rejection.reason
    assert outcome.history[0]["clients"] == 1 and {name.split("/")[0] for name in outcome.weights} == {"2"}
    network = with_weights(
        settings, data.spec, {name.split("/", 1)[1]: weight for name, weight in outcome.weights.items()}
    )
    logits = predict(network, data.test, data.spec, torch.device("cpu"))
    assert outcome.accuracy == 100.0 * float((weighed(logits, parts[1]) == data.test.targets).double().mean())


def weighed(logits: torch.Tensor, part: dd.TargetData) -> torch.Tensor:
    """Return what one model alone answers."""
    sizes = tuple(part.counts().get(class_id, 0) for class_id in range(10))
    return (class_weights([sizes], 10.0)[0] * logits.double().softmax(dim=1)).argmax(dim=1)


def test_an_ensemble_is_asked_for_once() -> None:
    with pytest.raises(SettingsError, match="form 'ensemble' has no use for rounds"):
        quick(form="ensemble", rounds=2).require_consistent()
