"""Apply each mutant to a copy of the repository, run its tests, print what survived."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import ROOT, Mutant, mutants

WORKERS = 2
FAILED = 1
"""Exit status of pytest when tests ran and at least one failed; anything else is no verdict."""


def copy_of_the_repository(into: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.splitlines()):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, into / name)
    return into


def tests_of(root: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run ``tests`` in the copy at ``root``; return pytest's exit status and the last line that it printed."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{root / 'core'}:{root}",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-n", "0", *tests]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    return done.returncode, (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]


def verdict(mutant: Mutant, copies: SimpleQueue[Path]) -> tuple[str, str]:
    root = copies.get()
    try:
        text = mutant.apply(root)
        try:
            status, last = tests_of(root, mutant.tests)
        finally:
            (root / mutant.file).write_text(text)
    finally:
        copies.put(root)
    return {0: "SURVIVED", FAILED: "killed"}.get(status, "NO VERDICT"), last


def main() -> None:
    chosen = mutants(" ".join(sys.argv[1:]))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for worker in range(WORKERS):
            copies.put(copy_of_the_repository(Path(folder) / str(worker)))
        every_test = tuple(sorted({test for mutant in chosen for test in mutant.tests}))
        root = copies.get()
        status, last = tests_of(root, every_test)
        copies.put(root)
        if status:
            sys.exit(f"without a mutant the tests must pass, or a kill means nothing: {last}")
        lost = 0
        for mutant, (word, last) in zip(chosen, pool.map(lambda m: verdict(m, copies), chosen), strict=True):
            lost += word != "killed"
            print(f"{word:10s} {mutant.what}  ({mutant.file}; {last})", flush=True)
    print(f"{len(chosen) - lost} of {len(chosen)} killed in {time.monotonic() - started:.0f} s")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
