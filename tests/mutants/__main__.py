"""Apply each mutant to a copy of the repository, run its tests, print what survived.

Tests run in children of this process, which has imported torch already. There are two at a time,
with one thread each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import scipy.stats
import sklearn.datasets
import torch

from tests.mutants import ROOT, Mutant, mutants

IMPORTED = (scipy.stats, sklearn.datasets, torch)
"""Imported here once, so that no child spends seconds on it.

ddcore is not among it, since mutants change it.
"""

WORKERS = 2
VERDICTS = {0: "SURVIVED", 1: "killed"}
"""Verdicts by exit status of pytest. Any other status is none: tests could not run."""


@dataclass(frozen=True)
class Job:
    """Tests in one copy of the repository, with a bug or without one."""

    mutant: Mutant | None
    tests: tuple[str, ...]


def copy_of_the_repository(into: Path) -> Path:
    """Copy the files that git knows, and new ones that it does not ignore."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes((ROOT / name).read_bytes())
    return into


def start(root: Path, tests: tuple[str, ...], log: Path) -> int:
    """Fork a child that runs ``tests`` in the copy at ``root``. Return its process id."""
    child = os.fork()
    if child:
        return child
    for name in [n for n in sys.modules if n == "tests" or n.startswith("tests.")]:
        del sys.modules[name]
    places = [str(root / "core"), str(root)]
    sys.path[:] = [
        *places,
        *(p for p in sys.path if p and not Path(p).is_relative_to(ROOT / "core") and p != str(ROOT)),
    ]
    os.environ |= {"PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    os.chdir(root)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    status = pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests])
    sys.stdout.flush()
    os._exit(int(status))


def verdicts(jobs: list[Job], folder: Path) -> Iterator[tuple[Job, int, str]]:
    """Run all jobs. Yield each with its exit status and its last line, when it ends."""
    free = [copy_of_the_repository(folder / str(worker)) for worker in range(WORKERS)]
    waiting, running = list(jobs), {}
    while waiting or running:
        while waiting and free:
            job, root = waiting.pop(0), free.pop()
            text = job.mutant.apply(root) if job.mutant else ""
            log = folder / f"{root.name}.log"
            running[start(root, job.tests, log)] = (job, root, text, log)
        child, ended = os.wait()
        job, root, text, log = running.pop(child)
        if job.mutant:
            (root / job.mutant.file).write_text(text)
        free.append(root)
        lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        yield job, os.waitstatus_to_exitcode(ended), lines[-1]


def main() -> None:
    """Check that the tests pass without a bug, and fail with each. Exit with 1 if one survived."""
    chosen = mutants(" ".join(sys.argv[1:]))
    started = time.monotonic()
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    with tempfile.TemporaryDirectory() as folder:
        without = [Job(None, tuple(tests[place::WORKERS])) for place in range(min(WORKERS, len(tests)))]
        for _, status, last in verdicts(without, Path(folder) / "without"):
            if status:
                sys.exit(f"without a bug the tests must pass, or a kill means nothing: {last}")
        print(f"{len(tests)} selections of tests pass without a bug ({time.monotonic() - started:.0f} s)", flush=True)
        lost = 0
        for job, status, last in verdicts([Job(m, m.tests) for m in chosen], Path(folder) / "with"):
            assert job.mutant is not None
            word = VERDICTS.get(status, "NO VERDICT")
            lost += word != "killed"
            print(f"{word:10s} {job.mutant.what}  ({job.mutant.file}; {last})", flush=True)
    print(f"{len(chosen) - lost} of {len(chosen)} killed in {time.monotonic() - started:.0f} s")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
