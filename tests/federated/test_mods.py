"""Flower's mods around our clients, and clients that are asked to evaluate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import LocalDpMod, adaptiveclipping_mod, fixedclipping_mod
from flwr.clientapp.typing import Mod
from flwr.serverapp.strategy import FedAvg

import ddcore as dd
from ddapps.federated import InProcessGrid, ServerData, Settings, client_app, run_server
from ddapps.federated.global_model import initial_network
from ddapps.federated.server import Server
from ddapps.federated.transport import encoded
from ddcore.errors import InputDataError, NoReplyError
from tests.federated.conftest import quick

NOISE = LocalDpMod(clipping_norm=1e6, sensitivity=0.0, epsilon=1.0, delta=0.1)
"""It changes nothing: so what it lets through can be compared."""
WEIGHTS = quick(form="fedavg", local_epochs=1, min_clients=2)


def app(parts: list[dd.TargetData], mods: list[Mod] | None = None) -> ClientApp:
    return client_app(lambda context: parts[int(context.node_config["partition-id"])], mods=mods)


@pytest.mark.parametrize("mod", [NOISE, fixedclipping_mod, adaptiveclipping_mod])
@pytest.mark.parametrize("form", ["one-shot", "feddm"])
def test_mods_of_weights_refuse_summaries_and_say_what_to_do(
    mod: Mod, form: str, parts: list[dd.TargetData], data: ServerData
) -> None:
    settings = quick(form=form, min_clients=2)
    with pytest.raises(NoReplyError, match=f"form {form!r} sends no weights that a mod could change.*set epsilon"):
        run_server(InProcessGrid(app(parts, [mod]), 2, settings.to_config()), settings, data)


def test_a_mod_of_weights_works_on_flowers_arrays_and_on_no_other_transport(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    plain, through = (
        run_server(InProcessGrid(app(parts, mods), 2, WEIGHTS.to_config()), WEIGHTS, data) for mods in (None, [NOISE])
    )
    assert all(torch.allclose(plain.weights[name], weight, atol=1e-6) for name, weight in through.weights.items())
    small = replace(WEIGHTS, transport="uint8")
    with pytest.raises(
        NoReplyError, match="weights travel as 'uint8': leave the mod out, or set transport = 'float32'"
    ):
        run_server(InProcessGrid(app(parts, [NOISE]), 2, small.to_config()), small, data)


def evaluated(parts: list[dd.TargetData], settings: Settings, data: ServerData) -> Any:
    """Return what Flower's own FedAvg finds when it asks clients to evaluate."""
    weights = initial_network(settings, data.spec).module.state_dict()
    strategy = FedAvg(fraction_evaluate=1.0, min_train_nodes=2, min_evaluate_nodes=2, min_available_nodes=2)
    grid = InProcessGrid(app(parts), 2, settings.to_config())
    return strategy.start(grid, encoded(weights, "float32"), num_rounds=1)  # type: ignore[arg-type]


def test_clients_answer_flowers_evaluation(parts: list[dd.TargetData], data: ServerData) -> None:
    """All clients have the server's test split, so the mean over them is the server's accuracy."""
    result = evaluated(parts[:2], WEIGHTS, data)
    server = Server(WEIGHTS, data)
    trained = {name: torch.from_numpy(array.numpy().copy()) for name, array in result.arrays.items()}
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == pytest.approx(server.accuracy(trained))
    assert server.accuracy(trained) != server.accuracy()


def test_clients_without_held_out_data_or_with_a_budget_tell_no_accuracy(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    bare = [replace(part, test=None) for part in parts[:2]]
    assert 1 not in evaluated(bare, WEIGHTS, data).evaluate_metrics_clientapp
    held = [replace(part, validation=part.train) for part in bare]
    assert 0 <= evaluated(held, WEIGHTS, data).evaluate_metrics_clientapp[1]["accuracy"] <= 100


def test_a_private_client_evaluates_nothing_and_does_not_say_why_it_could_not() -> None:
    def broken(context: Context) -> dd.TargetData:
        raise InputDataError("record 17 is corrupt: Jane Doe")

    for config, node in ((quick(method="dm", epsilon=5.0, delta=1e-4).to_config(), {}), ({}, {"max-epsilon": 1.0})):
        grid = InProcessGrid(client_app(broken), 1, config, lambda _, node=node: node)
        (reply,) = grid.send_and_receive([Message(RecordDict(), dst_node_id=1, message_type="evaluate")])
        assert (
            reply.error.reason
            == "UnsupportedError: a private client tells no accuracy: test the global model on the server"
        )
