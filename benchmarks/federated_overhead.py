"""What Flower's simulation engine costs, in one round.

The clients select images, so that nearly nothing is their own work.

python -m benchmarks.federated_overhead
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import markdown, write_results
from ddapps.federated import ServerData, Settings, simulate
from ddcore.data import load_data, partitions
from ddcore.images import Standardise

PROJECT = Path(__file__).resolve().parents[1] / "examples" / "federated"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("deploy_locally", PROJECT / "deploy_locally.py")
    assert spec is not None and spec.loader is not None
    deployment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(deployment)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words = 'distillation.method="random" distillation.network="convnet(width=4)" distillation.epochs=1'
        started = time.monotonic()
        deployment.Deployment(folder).simulate(f'{words} out="{folder / "out"}"', options.clients)
        whole = time.monotonic() - started
        round_alone = json.loads((folder / "out" / "results.json").read_text())["seconds"]
    target = load_data("digits", normalisation=Standardise((0.5,), (0.5,)), num_classes=10)
    parts = partitions.dirichlet(target, options.clients, 0.5, seed=0)
    settings = Settings(method="random", ipc=2, levels=16, network="convnet(width=4)", epochs=1)
    alone = simulate(settings, parts, ServerData.of(target)).seconds
    rows = [
        {"what": "flwr run, from the command to its end", "seconds": round(whole, 1)},
        {"what": "of it the server's round, clients' processes started", "seconds": round(round_alone, 1)},
        {"what": "the same round in one process", "seconds": round(alone, 1)},
    ]
    write_results("federated_overhead", rows, {"clients": options.clients}, markdown(rows))


if __name__ == "__main__":
    main()
