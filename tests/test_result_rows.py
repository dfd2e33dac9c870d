"""Rows of a result file.

None of another commit stands among them unless the call says so and the file tells it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import common
from benchmarks.merging import MergedRows, kept_work

BUDGET = {"runs": 5, "seed": 0}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "COMMIT", "aaa")
    return tmp_path


def measure(method: str, value: float, earlier: str | None = None, budget: dict[str, Any] | None = None) -> None:
    rows = MergedRows("found", budget or BUDGET, ("method",), earlier)
    rows.write([{"method": method, "value": value}], lambda row: row["method"], common.markdown, show=False)


def found(results: Path) -> list[tuple[str, float, str]]:
    rows = json.loads((results / "found.json").read_text())["results"]
    return [(row["method"], row["value"], row["commit"]) for row in rows]


def test_rows_of_one_commit_stand_together_and_a_later_one_replaces_its_like(results: Path) -> None:
    measure("dm", 1.0)
    measure("dc", 2.0)
    measure("dm", 3.0)
    assert found(results) == [("dc", 2.0, "aaa"), ("dm", 3.0, "aaa")]
    page = (results / "found.md").read_text()
    assert "commit aaa" in page
    assert "Rows by commit" not in page


def test_rows_of_another_commit_stop_a_call_before_it_measures(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure("dm", 1.0)
    before = (results / "found.json").read_bytes()
    monkeypatch.setattr(common, "COMMIT", "bbb")
    with pytest.raises(SystemExit, match="another commit \\(aaa\\), this is bbb"):
        MergedRows("found", BUDGET, ("method",), None)
    assert (results / "found.json").read_bytes() == before


def test_rows_that_are_kept_stand_under_their_own_commit(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure("dm", 1.0)
    measure("dc", 2.0)
    monkeypatch.setattr(common, "COMMIT", "bbb")
    measure("dm", 3.0, "keep")
    assert found(results) == [("dc", 2.0, "aaa"), ("dm", 3.0, "bbb")]
    page = (results / "found.md").read_text()
    assert "- aaa: dc\n- bbb: dm" in page
    assert "| method | value |" in page


def test_rows_that_are_dropped_are_gone(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure("dm", 1.0)
    monkeypatch.setattr(common, "COMMIT", "bbb")
    measure("dc", 2.0, "drop")
    assert found(results) == [("dc", 2.0, "bbb")]


def test_rows_at_another_budget_are_never_kept(results: Path) -> None:
    measure("dm", 1.0)
    other = {"runs": 3, "seed": 0}
    for earlier in (None, "keep"):
        with pytest.raises(SystemExit, match="another budget \\(runs\\)"):
            measure("dc", 2.0, earlier, other)
    measure("dc", 2.0, "drop", other)
    assert found(results) == [("dc", 2.0, "aaa")]


@pytest.mark.parametrize("commit", ["aaa+", "unknown"])
def test_code_that_no_commit_names_is_another_in_every_call(
    commit: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "COMMIT", commit)
    measure("dm", 1.0)
    with pytest.raises(SystemExit, match="another commit"):
        measure("dc", 2.0)
    rows = MergedRows("found", BUDGET, ("method",), "drop")
    for method in ("dc", "dsa"):
        rows.write([{"method": method, "value": 2.0}], lambda row: row["method"], common.markdown, show=False)
    assert found(results) == [("dc", 2.0, commit), ("dsa", 2.0, commit)]


def test_rows_from_before_commits_were_recorded_keep_the_commit_that_recorded_them(results: Path) -> None:
    old = {"machine": {"recorded_in": "ccc"}, "budget": BUDGET, "results": [{"method": "dc", "value": 1.0}]}
    (results / "found.json").write_text(json.dumps(old))
    with pytest.raises(SystemExit, match="unknown, recorded in ccc"):
        measure("dm", 2.0)
    measure("dm", 2.0, "keep")
    assert found(results) == [("dc", 1.0, "unknown, recorded in ccc"), ("dm", 2.0, "aaa")]


def test_finished_work_of_another_commit_is_named_or_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work" / "digits"
    assert kept_work(folder, None) == {}
    folder.mkdir()
    assert kept_work(folder, None) == {}
    monkeypatch.setattr(common, "COMMIT", "bbb")
    with pytest.raises(SystemExit, match="another commit \\(aaa\\), this is bbb"):
        kept_work(folder, None)
    assert kept_work(folder, "keep") == {"commits": "aaa; bbb"}
    monkeypatch.setattr(common, "COMMIT", "ccc")
    assert kept_work(folder, "drop") == {}
    assert not folder.exists()


def test_finished_work_that_names_no_commit_is_of_another_one(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    with pytest.raises(SystemExit, match="unknown"):
        kept_work(folder, None)
    assert kept_work(folder, "keep") == {"commits": "unknown; aaa"}
