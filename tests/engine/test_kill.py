"""A run that is killed goes on: the same command again ends in the bytes of an uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import ddcore as dd
from ddcore.engine.statefile import read_state

ROOT = Path(__file__).resolve().parents[2]
STEPS = 40
WORDS = ["distill", "digits", "--method", "dm", "--ipc", "1", "--steps", str(STEPS), "--quiet"]
WORDS += ["--network", "convnet(width=8,depth=2)", "--checkpoint-seconds", "0"]


def launch(out: Path) -> subprocess.Popen[bytes]:
    """Start the command line on a run of a second, with a checkpoint after every step."""
    path = os.pathsep.join([str(ROOT / "core"), str(ROOT)])
    command = [sys.executable, "-m", "ddapps.cli.main", *WORDS, "--out", str(out)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    )


def kill_at_random(out: Path, rng: random.Random) -> int | None:
    """Start the command, kill it at some moment, and return its exit code; mostly while it steps or saves."""
    checkpoint = out / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    with launch(out) as process:
        if rng.random() < 0.1:
            time.sleep(rng.uniform(0.0, 3.0))
        else:
            while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        return process.wait()


def test_kills_at_random_moments_do_not_change_the_result(tmp_path: Path) -> None:
    with launch(tmp_path / "whole") as whole:
        assert whole.wait() == 0
    expected = (tmp_path / "whole" / "summary.safetensors").read_bytes()
    rng, out = random.Random(0), tmp_path / "killed"
    reached = []
    for _ in range(4):
        if kill_at_random(out, rng) == -signal.SIGKILL and (out / "checkpoint.safetensors").exists():
            reached.append(read_state(out / "checkpoint.safetensors")["step"])
    assert reached
    assert reached == sorted(reached), "a resumed run lost steps that were saved"
    assert reached[0] > 0
    with launch(out) as last:
        assert last.wait() == 0
    assert (out / "summary.safetensors").read_bytes() == expected
    assert dd.DataSummary.load(out).record["steps"] == STEPS
    assert not (out / "checkpoint.safetensors").exists()
