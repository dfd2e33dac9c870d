"""Ten thousand random and mutated summaries: the loader raises its own error or loads, and takes no memory."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import ddcore as dd
from benchmarks.common import markdown, write_results
from tests.summary.fuzzing import Fuzzer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        target = dd.load_data("digits")
        dd.distill(target, dd.methods.random(ipc=1)).save(directory, overwrite=True)
        fuzzer = Fuzzer(Path(directory))
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        for seed in range(options.count):
            fuzzer.mutate(seed)
            try:
                dd.DataSummary.load(directory)
                outcomes["loaded"] += 1
            except dd.errors.SummaryFormatError:
                outcomes["refused"] += 1
            except Exception as error:
                outcomes[f"OTHER: {type(error).__name__}"] += 1
        seconds = time.monotonic() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row = {"inputs": options.count, **outcomes, "memory grown by MB": f"{grown:.0f}", "seconds": f"{seconds:.0f}"}
    write_results(
        "hostile_summaries", row, {"inputs": options.count, "seeds": f"0..{options.count - 1}"}, markdown([row])
    )


if __name__ == "__main__":
    main()
