"""What is spent stays spent: over runs, kills, and attempts to look away."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import pytest

from ddapps.privacy import Ledger, epsilon_of
from ddcore.errors import BudgetError, LedgerError, SettingsError

QUERY = (5.0, 1.0)


def opened(path: Path | None, data: str = "data", **budget: float) -> Ledger:
    return Ledger(path, data, **({"epsilon": 3.0, "delta": 1e-5} | budget))  # type: ignore[arg-type]


def test_runs_add_up_and_the_budget_is_not_exceeded(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = opened(path)
    assert ledger.open_run("first", QUERY, 6) == 0
    for _ in range(6):
        ledger.charge()
    ledger.close_run()
    ledger.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Ledger(path, "data")
    assert again.history() == [(5.0, 1.0, 6)]
    assert again.spent() == epsilon_of([(5.0, 1.0, 6)], 1e-5)
    with pytest.raises(BudgetError, match="allows 3"):
        again.open_run("second", QUERY, 10)
    assert again.open_run("smaller", QUERY, 1) == 0
    again.charge()
    again.close()
    last = Ledger(path, "data")
    assert last.history() == [(5.0, 1.0, 6), (5.0, 1.0, 1)]
    last.close()


def test_a_refused_run_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "ledger.json")
    ledger.open_run("first", QUERY, 1)
    ledger.charge()
    before = (tmp_path / "ledger.json").read_bytes()
    with pytest.raises(BudgetError):
        ledger.open_run("second", (0.1, 1.0), 6)
    ledger.close()
    again = Ledger(tmp_path / "ledger.json", "data")
    assert again.history() == [(5.0, 1.0, 1)]
    again.close()
    assert (tmp_path / "ledger.json").read_bytes() == before


def test_an_interrupted_run_goes_on_with_what_it_paid_and_a_finished_one_pays_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    for paid in (0, 2):
        ledger = opened(path)
        assert ledger.open_run("words", QUERY, 6) == paid
        ledger.charge()
        ledger.charge()
        ledger.close()  # as a kill would
    ledger = opened(path)
    ledger.open_run("words", QUERY, 6)
    ledger.close_run()
    assert ledger.open_run("words", QUERY, 1) == 0
    assert ledger.history() == [(5.0, 1.0, 4), (5.0, 1.0, 0)]
    ledger.close()


def test_one_run_at_a_time_one_dataset_one_budget(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = opened(path)
    ledger.open_run("words", QUERY, 1)
    with pytest.raises(LedgerError, match="in use"):
        opened(path)
    ledger.close()
    with pytest.raises(LedgerError, match="another dataset"):
        opened(path, "other data")
    with pytest.raises(LedgerError, match="now 4"):
        opened(path, epsilon=4.0)
    with pytest.raises(SettingsError, match="needs a budget"):
        Ledger(tmp_path / "new.json", "data")
    assert "data" not in json.loads(path.read_text())["data"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"schema": 2}',
        b'{"schema": 1, "data": ["a", "b"], "budget": {"epsilon": 1}, "runs": []}',
        b'{"schema": 1, "data": ["a", "b"], "budget": {"epsilon": 1, "delta": 1e-5, "accountant": "prv"}, "runs": [{}]}',
        b'{"schema": 1, "data": ["a", "b"], "budget": {"epsilon": 1, "delta": 1e-5, "accountant": "prv"},'
        b' "runs": [{"run": "r", "open": true, "queries": [[1, 1, -5]]}]}',
    ],
)
def test_a_damaged_ledger_is_never_taken_for_an_empty_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"):
        opened(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("budget", [{"epsilon": math.nan}, {"epsilon": math.inf}, {"epsilon": 0.0}, {"delta": 2.0}])
def test_a_budget_that_bounds_nothing_is_refused(tmp_path: Path, budget: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        opened(tmp_path / "ledger.json", **budget)


def test_a_link_to_a_ledger_is_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "ledger.json")
    for name in ("ledger.json", "link.json"):
        ledger = opened(tmp_path / name)
        ledger.open_run(name, QUERY, 1)
        ledger.charge()
        ledger.close()
    ledger = opened(tmp_path / "ledger.json")
    assert ledger.history() == [(5.0, 1.0, 1), (5.0, 1.0, 1)]
    ledger.close()


def test_what_an_accountant_knew_is_charged_with_the_run(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "ledger.json")
    ledger.open_run("words", QUERY, 1, [(10.0, 1.0, 1)])
    ledger.charge()
    ledger.close()
    again = opened(tmp_path / "ledger.json")
    assert again.history() == [(5.0, 1.0, 1), (10.0, 1.0, 1)]
    again.close()


def test_nothing_is_charged_without_a_run() -> None:
    with pytest.raises(LedgerError, match="no run is open"):
        opened(None).charge()
