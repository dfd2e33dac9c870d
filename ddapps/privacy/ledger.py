"""The ledger: what was spent on one dataset, on disk before anything is released."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ddapps.privacy.accounting import ACCOUNTANTS, MAX_EPSILON, Query, check_accountant, epsilon_of
from ddcore.errors import BudgetError, LedgerError, SettingsError
from ddcore.ground import write_atomically
from ddcore.settings import require

SCHEMA = 1


class Ledger:
    """The charges of all runs on one dataset, in memory or in a file.

    A file is synced at every charge. It belongs to one dataset, which it knows by a salted hash,
    and to one run at a time. It is for its owner's eyes (mode 0600).

    Args:
        path: of the file; None: memory.
        data_sha256: hash of the dataset.
        epsilon, delta: budget of all runs together; for a file that exists: None, or the same
            again.
        accountant: that adds up the runs.
    """

    def __init__(
        self,
        path: Path | None,
        data_sha256: str,
        epsilon: float | None = None,
        delta: float | None = None,
        accountant: str = "prv",
    ) -> None:
        for name, value in (("epsilon", epsilon), ("delta", delta)):
            require(
                value is None or 0 < value <= MAX_EPSILON,
                f"a ledger's {name} must lie in (0, {MAX_EPSILON}], not {value}",
            )
        require(delta is None or delta < 1, f"a ledger's delta is a probability below 1, not {delta}")
        check_accountant(accountant)
        self._path = None if path is None else path.resolve()
        self._lock: IO[bytes] | None = None
        if self._path is not None:
            self._lock = _locked(self._path)
        try:
            self._state = self._read(data_sha256, epsilon, delta, accountant)
        except BaseException:
            self.close()
            raise
        self._run: dict[str, Any] | None = None
        self._planned = 0

    def _read(self, data_sha256: str, epsilon: float | None, delta: float | None, accountant: str) -> dict[str, Any]:
        if self._path is None or not self._path.exists():
            if epsilon is None or delta is None:
                raise SettingsError("a new ledger needs a budget: epsilon and delta")
            salt = os.urandom(16).hex()
            budget = {"epsilon": epsilon, "delta": delta, "accountant": accountant}
            return {"schema": SCHEMA, "data": [salt, _salted(salt, data_sha256)], "budget": budget, "runs": []}
        state = _parse(self._path)
        salt, known = state["data"]
        if known != _salted(salt, data_sha256):
            raise LedgerError(f"ledger {self._path.name} is of another dataset: give this one a ledger of its own")
        for name, given in (("epsilon", epsilon), ("delta", delta)):
            if given is not None and given != state["budget"][name]:
                raise LedgerError(
                    f"ledger {self._path.name} has a budget of {name} {state['budget'][name]}, now {given} is given: "
                    "leave it out, or start another ledger"
                )
        return state

    @property
    def data_digest(self) -> str:
        """The dataset's salted hash, which tells nothing to who does not know the salt."""
        return str(self._state["data"][1])

    @property
    def budget(self) -> tuple[float, float]:
        """Epsilon and delta of all runs together."""
        return self._state["budget"]["epsilon"], self._state["budget"]["delta"]

    def history(self) -> list[Query]:
        """Return every charge."""
        return [(sigma, rate, times) for run in self._state["runs"] for sigma, rate, times in run["queries"]]

    def spent(self) -> float:
        """Return the epsilon of all charges, at the budget's delta."""
        return epsilon_of(self.history(), self.budget[1], self._state["budget"]["accountant"])

    def is_open(self, words: str) -> bool:
        """Whether a run of these words was interrupted, and can go on."""
        return any(run["run"] == digest_of(words) and run["open"] for run in self._state["runs"])

    def abandon(self, words: str) -> None:
        """Close an interrupted run of these words, if there is one.

        Its charges stay, and the words begin anew.
        """
        for run in self._state["runs"]:
            if run["run"] == digest_of(words):
                run["open"] = False

    def open_run(self, words: str, query: tuple[float, float], steps: int, before: Sequence[Query] = ()) -> int:
        """Begin a run, or go on with the interrupted one of the same ``words``.

        Return how many answers it has paid for.

        Args:
            words: what tells this run from others.
            query: noise multiplier and sampling rate of each answer.
            steps: most answers in all.
            before: what a caller's accountant was told earlier; it is charged with a new run. Runs
                that share an accountant charge it again each, so that the total is never too small.

        Raises:
            BudgetError: the answers that are left would exceed the budget.
        """
        digest = digest_of(words)
        runs: list[dict[str, Any]] = self._state["runs"]
        run = next((r for r in runs if r["run"] == digest and r["open"]), None)
        new = run is None
        run = run or {"run": digest, "open": True, "queries": [[*query, 0], *map(list, before)]}
        paid = int(run["queries"][0][2])
        epsilon, delta = self.budget
        planned = epsilon_of(
            [*self.history(), *(before if new else ()), (*query, steps - paid)],
            delta,
            self._state["budget"]["accountant"],
        )
        if planned > epsilon:
            spent = self.spent()
            raise BudgetError(
                f"this run would bring the dataset's total to epsilon {planned:.4g}, its ledger allows {epsilon:g} "
                f"({spent:.4g} are spent): ask for less, or stop here"
            )
        if new:
            runs.append(run)
        self._run, self._planned = run, steps
        self._write()
        return paid

    def charge(self) -> None:
        """Pay for one answer of the open run; on disk when this returns."""
        if self._run is None:
            raise LedgerError("no run is open: nothing can be charged")
        if self._run["queries"][0][2] >= self._planned:
            raise BudgetError(f"all {self._planned} answers that were planned are paid")
        self._run["queries"][0][2] += 1
        self._write()

    def close_run(self) -> None:
        """Mark the run as complete: the same words begin, and pay, anew."""
        if self._run is not None:
            self._run["open"] = False
            self._write()
            self._run = None

    def close(self) -> None:
        """Let go of the file; an open run can go on later."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write(self) -> None:
        if self._path is not None:
            write_atomically(self._path, json.dumps(self._state, indent=1).encode(), mode=0o600)


def _locked(path: Path) -> IO[bytes]:
    """Return a lock that lasts until it is closed or the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f"{path.name}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LedgerError(f"ledger {path.name} is in use by another run: wait for it to end") from error
    return file


def digest_of(words: str) -> str:
    """Return what stands for a run's words in the ledger and in its checkpoint."""
    return hashlib.sha256(words.encode()).hexdigest()


def _salted(salt: str, digest: str) -> str:
    return hashlib.sha256(f"{salt}/{digest}".encode()).hexdigest()


def _parse(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
        budget, (salt, known) = state["budget"], state["data"]
        whole = state["schema"] == SCHEMA and isinstance(salt, str) and isinstance(known, str)
        whole = whole and all(0 < float(budget[k]) < math.inf for k in ("epsilon", "delta"))
        whole = whole and budget["accountant"] in ACCOUNTANTS
        for run in state["runs"]:
            whole = (
                whole and isinstance(run["run"], str) and isinstance(run["open"], bool) and _are_queries(run["queries"])
            )
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise LedgerError(_damaged(path)) from error
    if not whole:
        raise LedgerError(_damaged(path))
    return state


def _are_queries(queries: Sequence[Any]) -> bool:
    return len(queries) > 0 and all(
        type(times) is int and times >= 0 and 0 < float(rate) <= 1 and 0 < float(sigma) < math.inf
        for sigma, rate, times in queries
    )


def _damaged(path: Path) -> str:
    return f"ledger {path.name} is damaged or of another version: restore it from a copy; do not start an empty one in its place"
