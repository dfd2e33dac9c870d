"""Kill -9 at random moments of a run, fifty times: every resumed run must end in the same bytes.

A process may be killed before its first step, in a step, while it writes a checkpoint or the summary. Each of the runs
is killed until it ends by itself.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
from pathlib import Path
from subprocess import TimeoutExpired

from benchmarks.common import markdown, write_results
from tests.engine.test_kill import launch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    moments, kills, runs, equal = random.Random(0), 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        with launch(Path(place) / "whole") as process:
            process.wait()
        expected = (Path(place) / "whole" / "summary.safetensors").read_bytes()
        while kills < options.kills:
            runs += 1
            directory = Path(place) / f"run{runs}"
            while True:
                with launch(directory) as process:
                    assert process.stdout is not None
                    process.stdout.readline()
                    try:
                        process.wait(timeout=moments.uniform(0.0, 1.0))
                        break
                    except TimeoutExpired:
                        process.send_signal(signal.SIGKILL)
                        kills += process.wait() == -signal.SIGKILL
            equal += (directory / "summary.safetensors").read_bytes() == expected
    row = {"kills": kills, "runs": runs, "runs with the same bytes": equal}
    write_results("kills", row, {"kills": options.kills, "seed": 0}, markdown([row]))


if __name__ == "__main__":
    main()
