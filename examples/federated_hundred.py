"""A hundred clients in Flower's simulation engine (Ray), of which each round samples ten.

python examples/federated_hundred.py

About a minute on two cores, Ray's start included. Clients have two classes each. Those that have
sent their summary are not asked again, so ten rounds hear all hundred. --clients and --rounds say
other numbers. With --fast it is eight clients in one process, without Ray.
"""

from __future__ import annotations

import argparse
import logging
import os

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

import ddcore as dd
from ddapps.federated import Outcome, ServerData, Settings, client_app, run_server, simulate
from ddcore.images import Standardise

parser = argparse.ArgumentParser()
parser.add_argument("--clients", type=int, default=100)
parser.add_argument("--rounds", type=int, default=10, help="each samples its share of the clients")
parser.add_argument("--fast", action="store_true")
OPTIONS = parser.parse_args()
FAST = OPTIONS.fast
CLIENTS, ROUNDS = (8, 2) if FAST else (OPTIONS.clients, OPTIONS.rounds)
SAMPLED = 2 if FAST else -(-CLIENTS // ROUNDS)
SETTINGS = Settings(
    method="dm",
    ipc=1,
    steps=2 if FAST else 10,
    network="convnet(width=8)",
    epochs=2 if FAST else 250,
    rounds=ROUNDS,
    fraction=SAMPLED / CLIENTS,
    min_clients=SAMPLED,
    clients=CLIENTS,
)


def told(message: Message, context: Context, call: ClientAppCallable) -> Message:
    """Give a client the settings: `run_simulation` has no place for a run's configuration."""
    config = {**context.run_config, **SETTINGS.to_config()}
    return call(message, Context(context.run_id, context.node_id, context.node_config, context.state, config))


def simulated(parts: list[dd.TargetData], data: ServerData) -> Outcome:
    """Return what a run in Flower's simulation engine gives."""
    server, found = ServerApp(), []

    def load_partition(context: Context) -> dd.TargetData:
        return parts[int(context.node_config["partition-id"])]

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        found.append(run_server(grid, SETTINGS, data))

    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server, client_app(load_partition, mods=[told]), len(parts), backend_config=resources)  # type: ignore[arg-type]
    return found[0]


def main() -> None:
    logging.getLogger("flwr").setLevel(logging.ERROR)
    target = dd.load_data("digits", normalisation=Standardise((0.5,), (0.5,)), num_classes=10)
    parts = dd.data.partitions.classes_each(target, CLIENTS, 2)
    data, sent = ServerData.of(target), 0
    outcome = simulate(SETTINGS, parts, data) if FAST else simulated(parts, data)
    print(f"{CLIENTS} clients of two classes, {SAMPLED} sampled a round")
    for entry in outcome.history:
        sent += entry["bytes_up"] + entry["bytes_down"]
        print(
            f"  round {entry['round']:>2}  {entry['in_union']:>3} clients in the union  accuracy {entry['accuracy']:.1f} %  {sent:>7} bytes"
        )


if __name__ == "__main__":
    main()
