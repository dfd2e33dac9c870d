"""What a socket sees of a deployment: two clients and a server, in processes of their own.

One summary of each client, and five rounds of federated averaging. Clients connect through a relay
that counts. They poll also while nothing is asked of them: that is measured before, and told apart.

python -m benchmarks.federated_wire
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from benchmarks.common import markdown, write_results
from benchmarks.relay import Counted, Relay

PROJECT = Path(__file__).resolve().parents[1] / "examples" / "federated"
SMALL = 'distillation.network="convnet(width=8)" distillation.min-clients=2 '
RUNS = {
    "random images, once": SMALL + 'distillation.method="random" distillation.ipc=4 distillation.epochs=20',
    "FedAvg, float32 as Flower sends it": SMALL
    + 'distillation.form="fedavg" distillation.method="" distillation.levels=256 distillation.rounds={rounds}',
    "FedAvg, a byte per weight, compressed": SMALL
    + 'distillation.form="fedavg" distillation.method="" distillation.levels=256 distillation.rounds={rounds} '
    'distillation.transport="uint8"',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of polling that are measured")
    parser.add_argument("--rounds", type=int, default=5, help="of federated averaging")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="wire-") as temporary:
        rows = measured(Path(temporary), options.idle, options.rounds)
    write_results("federated_wire", rows, {"idle": options.idle, "rounds": options.rounds, "clients": 2}, table(rows))


def measured(folder: Path, idle: float, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each of `RUNS`."""
    example = example_module()
    deployment = example.Deployment(folder)
    (folder / "home").mkdir()
    deployment.connect()
    relay = Relay(deployment.port)
    try:
        deployment.start("superlink", "--insecure", "--host", "127.0.0.1", "--port", str(relay.to))
        deployment.wait_for(lambda: example.answers(relay.to), "the SuperLink to listen")
        relay.start()
        deployment.port = relay.port
        for index in (0, 1):
            deployment.start_node(index, deployment.node_ports[index])
        deployment.wait_for(lambda: all(deployment.saw(f"node-{i}", "SuperNode ID") for i in (0, 1)), "both clients")
        rates = relay.idle(idle)
        return [run(deployment, relay, rates, what, RUNS[what].format(rounds=rounds)) for what in RUNS]
    finally:
        deployment.stop()


def run(deployment: Any, relay: Relay, rates: tuple[float, float], what: str, words: str) -> dict[str, Any]:
    """Run the project once; return what was counted in it and on the socket, in bytes."""
    out = deployment.folder / f"out {len(list(deployment.folder.glob('out *')))}"
    before, started = Counted(relay.seen.up, relay.seen.down), time.monotonic()
    command = [str(example_module().BIN / "flwr"), "run", str(PROJECT), "here", "--stream", "--run-config"]
    deployment.spawn(out.name, [*command, f'{words} out="{out}"'])
    deployment.wait_for(lambda: (out / "results.json").exists(), f"the run to end: {what}", seconds=200)
    seconds, during = time.monotonic() - started, relay.seen.minus(before)
    found = json.loads((out / "results.json").read_text())
    polling = Counted(round(rates[0] * seconds), round(rates[1] * seconds))
    work = during.minus(polling)
    return {
        "what": what,
        "accuracy": found["accuracy"],
        "seconds": seconds,
        "messages": [found["bytes_up"], found["bytes_down"]],
        "socket": [work.up, work.down],
        "polling": [polling.up, polling.down],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results in kB; the last columns compare with the first row."""
    first, lines = rows[0], []
    for row in rows:
        messages, socket = sum(row["messages"]), sum(row["socket"])
        lines.append(
            {
                "": row["what"],
                "accuracy %": f"{row['accuracy']:.1f}",
                "seconds": f"{row['seconds']:.0f}",
                "kB of messages": f"{messages / 1000:.1f}",
                "kB on the socket, without polling": f"{socket / 1000:.1f}",
                "socket / messages": f"{socket / messages:.1f}",
                "bytes of polling per second": f"{sum(row['polling']) / row['seconds']:.0f}",
                "messages, times the first row's": f"{messages / sum(first['messages']):.1f}",
                "socket, times the first row's": f"{socket / sum(first['socket']):.1f}",
            }
        )
    return markdown(lines)


def example_module() -> ModuleType:
    """Return the module of the example that starts the processes of a deployment."""
    spec = importlib.util.spec_from_file_location("deploy_locally", PROJECT / "deploy_locally.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
