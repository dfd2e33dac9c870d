"""Ten thousand random and mutated summaries.

The loader raises its own error or loads, and takes no memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, write_results
from tests.summary.fuzzing import fuzz


def row(found: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return what the table shows of an outcome of `fuzz`; every number is counted."""
    others = len(found["others"])
    return {
        "inputs": found["refused"] + found["loaded"] + others,
        "other exceptions": others,
        "refused": found["refused"],
        "loaded": found["loaded"],
        "grown_mb": found["grown_mb"],
        "seconds": f"{seconds:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        found = fuzz(Path(directory), options.count)
    result = row(found, time.monotonic() - started)
    write_results("hostile_summaries", result, {"seeds": f"0..{options.count - 1}"}, markdown([result]))
    print("\n".join(found["others"]))


if __name__ == "__main__":
    main()
