"""Memory of distilling and evaluating recommenders, by number of users.

python -m benchmarks.recommender_memory

Users choose 20 of 20 000 items at random. One step of ``distill_cf`` sees all of them, and an
infinite autoencoder on the synthetic users is tested on all. Every size is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import torch

import ddcore as dd
from benchmarks.common import markdown, write_results

ITEMS, EACH, SYNTHETIC = 20_000, 20, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", default="1000,4000,16000")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one)))
        return
    rows = []
    for users in options.users.split(","):
        words = [sys.executable, "-m", "benchmarks.recommender_memory", "--one", users]
        rows.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
    budget = {"items": ITEMS, "items of a user": EACH, "synthetic users": SYNTHETIC, "threads": torch.get_num_threads()}
    write_results("recommender_memory", rows, budget, markdown(rows))


def measured(users: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    items = random.integers(0, ITEMS, (users, 2 * EACH))
    frame = pd.DataFrame({"user": np.repeat(np.arange(users), 2 * EACH), "item": items.ravel()})
    frame = frame.drop_duplicates().groupby("user").head(EACH)
    target = dd.load_data(frame)
    before = peak()
    method = dd.methods.build_method("distill_cf", ipc=SYNTHETIC, preset="cpu", target=target)
    method = dd.override(dd.override(method, "matching.ridges", ()), "factorization.scale", 40.0)
    started = time.monotonic()
    summary = dd.distill(target, method, steps=1)
    stepped = time.monotonic()
    dd.evaluate(summary, target, networks="infinite-autoencoder(ridges=(1.0,))")
    return {
        "users": users,
        "GB, all rows with zeros": round(4 * users * ITEMS / 1e9, 2),
        "GB, loaded": before,
        "GB, at most": peak(),
        "step s": round(stepped - started, 1),
        "evaluation s": round(time.monotonic() - stepped, 1),
    }


def peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


if __name__ == "__main__":
    main()
