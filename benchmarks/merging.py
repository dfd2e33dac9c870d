"""Rows of one result file from several calls.

Rows of another commit stay if the call says so, under its name.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import common

Row = dict[str, Any]


def merge_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--earlier``: what becomes of what another commit, or another budget, has measured."""
    parser.add_argument(
        "--earlier",
        choices=("keep", "drop"),
        help="what another commit measured: keep it under that commit's name, or drop it (default: refuse to start)",
    )


class MergedRows:
    """The rows of ``name``: those of an earlier call that may stay, and new ones as they come.

    Rows with the same ``key`` are one row; the later one replaces the earlier. It refuses before
    anything is measured.
    """

    def __init__(self, name: str, budget: dict[str, Any], key: tuple[str, ...], earlier: str | None) -> None:
        self.name, self.budget, self.key = name, budget, key
        self.rows = earlier_rows(name, budget, earlier)

    def write(
        self, measured: list[Row], order: Callable[[Row], Any], table: Callable[[list[Row]], str], *, show: bool = True
    ) -> list[Row]:
        """Add rows, write the file, and return all rows.

        Rows are of this commit, if they do not say another. ``table`` gets them without it.
        """
        replaced = {self._key(row) for row in measured}
        kept = [row for row in self.rows if self._key(row) not in replaced]
        self.rows = sorted([*kept, *({"commit": common.COMMIT, **row} for row in measured)], key=order)
        plain = [{k: v for k, v in row.items() if k != "commit"} for row in self.rows]
        common.write_results(self.name, self.rows, self.budget, table(plain) + self.by_commit(), show=show)
        return plain

    def by_commit(self) -> str:
        """Say which rows come from which commit, if not all come from this one."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            found.setdefault(row["commit"], []).append(" ".join(map(str, self._key(row))))
        if set(found) == {common.COMMIT}:
            return ""
        lines = [f"- {commit}: {', '.join(dict.fromkeys(rows))}" for commit, rows in found.items()]
        return "\n\nRows by commit:\n\n" + "\n".join(lines)

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[k] for k in self.key)


def earlier_rows(name: str, budget: dict[str, Any], earlier: str | None) -> list[Row]:
    """Return the rows that may stay beside new ones, each with its commit.

    It leaves if the call has not said what becomes of rows of another commit or budget.
    """
    path = common.RESULTS / f"{name}.json"
    if not path.exists():
        return []
    content = json.loads(path.read_text())
    differing = sorted(k for k, v in budget.items() if content["budget"].get(k) != v)
    if differing:
        if earlier != "drop":
            sys.exit(f"{path.name} has another budget ({', '.join(differing)}). To replace its rows: --earlier drop")
        return []
    rows = [{**row, "commit": row.get("commit", commit_of(content["machine"]))} for row in content["results"]]
    others = sorted({row["commit"] for row in rows if not measured_here(row["commit"])})
    if others and earlier is None:
        sys.exit(
            f"{path.name} has rows of another commit ({'; '.join(others)}), this is {common.COMMIT}. "
            "To keep them, each under its commit: --earlier keep. To measure anew: --earlier drop"
        )
    return [row for row in rows if earlier == "keep" or measured_here(row["commit"])]


def commit_of(machine: dict[str, Any]) -> str:
    """Return the commit that a file names for all of its rows."""
    return str(machine.get("commit", f"unknown, recorded in {machine.get('recorded_in', 'no commit')}"))


def measured_here(commit: str) -> bool:
    """Whether this very code measured it.

    Changed code (``+``) and code without history cannot tell.
    """
    return commit == common.COMMIT and commit != "unknown" and not commit.endswith("+")


def kept_work(folder: Path, earlier: str | None) -> dict[str, str]:
    """Return the commits whose finished work a call goes on from, as a fact of its budget.

    They are kept in a file beside the folder. Nothing is returned if there is no other commit. It
    leaves if the call has not said what becomes of others' work.
    """
    list_of_commits = folder.with_name(f"{folder.name}.commits")
    said = list_of_commits.read_text().split("\n") if list_of_commits.exists() else ["unknown"]
    found = said if folder.exists() else []
    others = [commit for commit in found if not measured_here(commit)]
    if others and earlier is None:
        sys.exit(
            f"{folder.name} has finished work of another commit ({'; '.join(others)}), this is {common.COMMIT}. "
            "To go on from it, and have the result say so: --earlier keep. To do all of it anew: --earlier drop"
        )
    if others and earlier == "drop":
        shutil.rmtree(folder)
        found = []
    found = list(dict.fromkeys([*found, common.COMMIT]))
    list_of_commits.parent.mkdir(parents=True, exist_ok=True)
    list_of_commits.write_text("\n".join(found))
    return {} if found == [common.COMMIT] else {"commits": "; ".join(found)}
