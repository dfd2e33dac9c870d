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

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, torch
torch.set_num_threads(1)
import ddcore as dd
target = dd.load_data("digits").of_classes([0, 1])
method = dd.methods.dm(ipc=1, preset="cpu").with_steps(40)
method = dd.override(method, "networks", dd.networks.FreshNetworks(dd.networks.ConvNet(width=8, depth=2)))
print("ready", flush=True)
dd.distill(target, method, checkpoint=sys.argv[1] + "/checkpoint", checkpoint_seconds=0).save(sys.argv[1], overwrite=True)
"""


def launch(directory: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "core"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_kills_at_random_moments_do_not_change_the_result(tmp_path: Path) -> None:
    with launch(tmp_path / "whole") as whole:
        assert whole.wait(timeout=120) == 0
    expected = (tmp_path / "whole" / "summary.safetensors").read_bytes()
    moments, killed = random.Random(0), 0
    for _ in range(4):
        with launch(tmp_path / "killed") as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            killed += process.wait(timeout=60) == -signal.SIGKILL
    with launch(tmp_path / "killed") as last:
        assert last.wait(timeout=120) == 0
    assert killed > 0
    assert (tmp_path / "killed" / "summary.safetensors").read_bytes() == expected
    assert dd.DataSummary.load(tmp_path / "killed").record["steps"] == 40
