"""Two processes beside one: steps of DC that both share, and a sweep of seeds taken in turns.

python -m benchmarks.processes

Every process has one thread. Steps of one run are shared by ``torchrun``: random images of 20
classes, 28 px, ten per class, 256 real ones per class, ConvNet-3 of width 64, no inner training.
The sweep distils digits by DM with eight seeds, in one and in two processes of Ray that run
already.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from benchmarks.common import markdown, write_results

CLASSES, PER_CLASS, SIDE, STEPS, WARM = 20, 256, 28, 5, 1
SEEDS, SWEEP_STEPS = 8, 40


def random_images() -> dd.TargetData:
    random = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (CLASSES * PER_CLASS, 1, SIDE, SIDE), generator=random, dtype=torch.uint8)
    targets = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    return dd.load_data((inputs, targets, inputs[:CLASSES], targets[:CLASSES]), num_classes=CLASSES)


def shared_steps(folder: Path) -> None:
    """Time the steps of one run in this process, which may be one of several."""
    method = dd.methods.build_method("dc", ipc=10, preset="cpu")
    method = dd.override(method, "networks", dd.sources.FreshNetworks(dd.images.ConvNet(width=64)))
    moments: list[float] = []
    summary = dd.distill(
        random_images(),
        method,
        steps=WARM + STEPS,
        seed=0,
        device="cpu",
        distributed=True,
        callbacks=[lambda progress: moments.append(time.perf_counter())],
    )
    if os.environ["RANK"] == "0":
        seconds = (moments[-1] - moments[WARM - 1]) / STEPS
        (folder / "seconds.json").write_text(json.dumps(seconds))
        torch.save(summary.tensors()[0], folder / "images.pt")


def step_rows() -> list[dict[str, Any]]:
    rows, images = [], []
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            words += ["-m", "benchmarks.processes", "--shared-steps", folder]
            subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
            seconds = json.loads((Path(folder) / "seconds.json").read_text())
            images.append(torch.load(Path(folder) / "images.pt"))
        rows.append({"what": "dc, 20 classes, a step", "processes": processes, "s": round(seconds, 3)})
    largest = float((images[0] - images[1]).abs().max() / images[0].abs().max())
    rows[1] |= {"times faster": round(rows[0]["s"] / rows[1]["s"], 2), "difference": f"{largest:.0e}"}
    return rows


def one_seed(target: dd.TargetData, seed: int) -> torch.Tensor:
    method = dd.methods.build_method("dm", ipc=10, preset="cpu", target=target)
    return dd.distill(target, method, steps=SWEEP_STEPS, seed=seed, device="cpu").tensors()[0]


def sweep_rows() -> list[dict[str, Any]]:
    import ray

    dd.Workers(1)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    target, rows, found = dd.load_data("digits"), list[dict[str, Any]](), []
    jobs = [(one_seed, (target, seed)) for seed in range(SEEDS)]
    device = torch.device("cpu")
    list(dd.Workers(2).calls(jobs[:2], device))  # processes are there, packages imported
    for processes in (1, 2):
        started = time.monotonic()
        found.append(dict(dd.Workers(processes).calls(jobs, device)))
        seconds = round(time.monotonic() - started, 1)
        rows.append({"what": f"dm on digits, {SEEDS} seeds", "processes": processes, "s": seconds})
    ray.shutdown()
    same = all(torch.equal(found[0][seed], found[1][seed]) for seed in range(SEEDS))
    rows[1] |= {"times faster": round(rows[0]["s"] / rows[1]["s"], 2), "difference": "0" if same else "differ"}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared-steps", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.shared_steps is not None:
        shared_steps(options.shared_steps)
        return
    rows = [*step_rows(), *sweep_rows()]
    table = markdown(
        [{k: row.get(k, "") for k in ("what", "processes", "s", "times faster", "difference")} for row in rows]
    )
    write_results("processes", rows, {"steps": STEPS, "sweep steps": SWEEP_STEPS, "seed": 0}, table)


if __name__ == "__main__":
    main()
