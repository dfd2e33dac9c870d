"""A real deployment on one machine: a SuperLink and two SuperNodes, each a process of its own.

One of them dies at work and comes back.

python examples/federated/deploy_locally.py
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import ddcore as dd

PROJECT = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
CONFIG = (
    "distillation.rounds=20 distillation.clients=2 distillation.timeout=8.0 distillation.ipc=1 distillation.steps={steps} "
    'distillation.network="convnet(width=4)" distillation.epochs=20 out="{out}"'
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of each client: long enough to be killed in the middle")
    parser.add_argument("--out", type=Path, help="where union and results go (default: nowhere)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="deployment-") as temporary:
        Deployment(Path(temporary)).run(options.steps, options.out or Path(temporary) / "out")


class Deployment:
    """Processes, their logs and Flower's home in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "FLWR_HOME": str(folder / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        self.port, *self.node_ports = free_ports(4)
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, steps: int, out: Path) -> None:
        (self.folder / "home").mkdir()
        self.connect()
        try:
            self.start("superlink", "--insecure", "--host", "127.0.0.1", "--port", str(self.port))
            self.wait_for(lambda: answers(self.port), "the SuperLink to listen")
            nodes = [self.start_node(index, self.node_ports[index]) for index in (0, 1)]
            self.wait_for(lambda: all(self.saw(f"node-{i}", "SuperNode ID") for i in (0, 1)), "clients to connect")
            words = CONFIG.format(steps=steps, out=out)
            run = [str(BIN / "flwr"), "run", str(PROJECT), "here", "--stream", "--run-config", words]
            self.spawn("run", run)
            self.wait_for(lambda: self.saw("node-1", "[RUN"), "client 1 to be at work")
            time.sleep(1.0)
            say("client 1 is killed at work")
            os.killpg(nodes[1].pid, signal.SIGKILL)
            say("client 1 is started again")
            self.start_node(1, self.node_ports[2], name="node-1-again")
            self.wait_for(lambda: (out / "results.json").exists(), "the run to end", seconds=200)
        finally:
            self.stop()
        union = dd.DataSummary.load(out / "union")
        say(f"the union has {len(union.parts)} clients, {len(union)} images, accuracy in {out / 'results.json'}")

    def simulate(self, config: str, nodes: int) -> None:
        """Run the project in Flower's simulation engine, on a SuperLink that ends with it."""
        (self.folder / "home").mkdir()
        self.connect()
        try:
            self.start("superlink", "--insecure", "--simulation", "--host", "127.0.0.1", "--port", str(self.port))
            self.wait_for(lambda: answers(self.port), "the SuperLink to listen")
            words = [str(BIN / "flwr"), "run", str(PROJECT), "here", "--stream", "--run-config", config]
            size = f"num-supernodes={nodes} client-resources-num-cpus=1 init-args-num-cpus=2"
            self.spawn("run", [*words, "--federation-config", size]).wait(timeout=250)
        finally:
            self.stop()

    def connect(self) -> None:
        connection = f'[superlink.here]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        (self.folder / "home" / "config.toml").write_text(connection)

    def start_node(self, index: int, port: int, name: str = "") -> subprocess.Popen[bytes]:
        data = f'partition-id={index} num-partitions=2 directory="{self.folder / f"client-{index}"}"'
        at = ["--superlink", f"127.0.0.1:{self.port}", "--port", str(port)]
        return self.start("supernode", "--insecure", *at, "--node-config", data, name=name or f"node-{index}")

    def start(self, kind: str, *words: str, name: str = "") -> subprocess.Popen[bytes]:
        return self.spawn(name or kind, [str(BIN / f"flower-{kind}"), *words])

    def spawn(self, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                words, stdout=log, stderr=log, env=self.environment, cwd=self.folder, start_new_session=True
            )
        self.processes.append(process)
        return process

    def saw(self, name: str, text: str) -> bool:
        log = self.folder / f"{name}.log"
        return log.exists() and text in log.read_text(errors="replace")

    def wait_for(self, happened: Callable[[], bool], what: str, seconds: float = 60) -> None:
        say(f"waiting for {what}")
        ends = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > ends:
                logs = "\n".join(
                    f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in self.folder.glob("*.log")
                )
                sys.exit(f"waited {seconds} seconds for {what}\n{logs}")
            time.sleep(0.2)

    def stop(self) -> None:
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
