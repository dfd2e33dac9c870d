"""Kill -9 at random moments of a run, fifty times: every resumed run must end in the same bytes.

The command line runs with a checkpoint after every step. It may be killed before its first step, in
a step, while it writes a checkpoint or the summary. Each run is killed again and again until it
ends by itself.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
from pathlib import Path

from benchmarks.common import markdown, write_results
from tests.engine.test_kill import kill_at_random, launch
from tests.forked import ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    rng, kills, runs, equal = random.Random(0), 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        ended(launch(Path(place) / "whole"))
        expected = (Path(place) / "whole" / "summary.safetensors").read_bytes()
        while kills < options.kills:
            runs += 1
            out = Path(place) / f"run{runs}"
            while (code := kill_at_random(out, rng)) != 0:
                kills += code == -signal.SIGKILL
                if kills >= options.kills:
                    ended(launch(out))
                    break
            equal += (out / "summary.safetensors").read_bytes() == expected
    row = {"kills": kills, "runs": runs, "runs with the same bytes": equal}
    write_results("kills", row, {"kills": options.kills, "seed": 0}, markdown([row]))


if __name__ == "__main__":
    main()
