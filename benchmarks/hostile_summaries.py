"""Ten thousand random and mutated summaries: the loader raises its own error or loads, and takes no memory."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.common import markdown, write_results
from tests.summary.fuzzing import fuzz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        outcome = fuzz(Path(directory), options.count)
    row = {"inputs": options.count, "other exceptions": 0, **outcome, "seconds": f"{time.monotonic() - started:.0f}"}
    write_results("hostile_summaries", row, {"seeds": f"0..{options.count - 1}"}, markdown([row]))


if __name__ == "__main__":
    main()
