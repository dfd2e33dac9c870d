"""A run that is killed goes on.

The same command again ends in the bytes of an uninterrupted run.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import ddcore as dd
from ddapps.cli.main import main
from ddcore.ground import read_state
from tests.forked import ended, fork

STEPS = 25
WORDS = ["distill", "digits", "--method", "dm", "--ipc", "1", "--steps", str(STEPS), "--quiet"]
WORDS += ["--network", "convnet(width=8,depth=2)", "--checkpoint-seconds", "0"]


def command(out: Path) -> None:
    """Run the command line in this process, to its end."""
    sys.exit(main([*WORDS, "--out", str(out)]))


def launch(out: Path) -> BaseProcess:
    """Start the command line on a run of a second, with a checkpoint after every step."""
    return fork(command, out, said=out.with_suffix(".log"))


def kill_at_random(out: Path, rng: random.Random) -> int | None:
    """Start the command, kill it at some moment, and return its exit code.

    Mostly it is killed while it steps or saves.
    """
    checkpoint = out / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    process = launch(out)
    if rng.random() < 0.1:
        time.sleep(rng.uniform(0.0, 0.5))
    else:
        while process.is_alive() and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.25))
    process.kill()
    return ended(process)


def test_kills_at_random_moments_do_not_change_the_result(tmp_path: Path) -> None:
    assert ended(launch(tmp_path / "whole")) == 0
    expected = (tmp_path / "whole" / "summary.safetensors").read_bytes()
    rng, out = random.Random(0), tmp_path / "killed"
    reached = []
    for _ in range(3):
        if kill_at_random(out, rng) == -signal.SIGKILL and (out / "checkpoint.safetensors").exists():
            reached.append(read_state(out / "checkpoint.safetensors")["step"])
    assert reached
    assert reached == sorted(reached), "a resumed run lost steps that were saved"
    assert reached[0] > 0
    assert ended(launch(out)) == 0
    assert (out / "summary.safetensors").read_bytes() == expected
    assert dd.DataSummary.load(out).record["steps"] == STEPS
    assert not (out / "checkpoint.safetensors").exists()
