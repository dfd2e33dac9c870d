"""What every benchmark shares: where it ran, and how its results are written."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import torch

import ddcore as dd

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return processor, threads, GPU and versions; nothing that names the host."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "ddcore": dd.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "commit": COMMIT,
    }


def commit() -> str:
    """Return the commit that is measured, with ``+`` if its code was changed since.

    ``DDAPPS_COMMIT`` says it where the code is a copy without its history.
    """
    if "DDAPPS_COMMIT" in os.environ:
        return os.environ["DDAPPS_COMMIT"]
    git = ["git", "-C", str(RESULTS.parent)]
    measured = ["--", ":/core", ":/ddapps", ":/benchmarks/*.py"]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", *measured], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


COMMIT = commit()
"""Of the code as it was loaded. A commit made during a long run does not change what runs."""


def write_results(name: str, results: object, budget: dict[str, Any], table: str, *, show: bool = True) -> None:
    """Write ``name.json`` and ``name.md``, and print the table if ``show``."""
    RESULTS.mkdir(exist_ok=True)
    where = machine()
    content = {"machine": where, "budget": budget, "results": results}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    facts = ", ".join(f"{k} {v}" for k, v in where.items() if v is not None)
    spent = ", ".join(f"{k} {v}" for k, v in budget.items())
    (RESULTS / f"{name}.md").write_text(f"# {name}\n\n{facts}\n\nBudget: {spent}\n\n{table}\n")
    if show:
        print(table)


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table; columns are the keys of the first row."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def data_argument(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--data``: a path, or a name that downloads."""
    parser.add_argument("--data", default=name, help=f"path of a .npz file, or a name (default: {name})")


def fetched(pattern: str, source: str) -> str:
    """Return the path of a file below the folder of fetched data.

    Args:
        pattern: its name, perhaps with ``*``.
        source: where it can be had: said before leaving if it is not there.
    """
    root = dd.data.data_root()
    found = sorted(root.rglob(pattern))
    if not found:
        sys.exit(f"there is no {pattern} below {root}: fetch it from {source}, or point DDCORE_DATA to where it is")
    return str(found[0])


def load_or_explain(data: str, **settings: Any) -> dd.TargetData:
    """Load data, or leave with a line that says what is missing."""
    try:
        return dd.load_data(data, **settings)
    except dd.errors.DistillationError as error:
        sys.exit(f"this benchmark needs data: {error}. Give it with --data PATH")
