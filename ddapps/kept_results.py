"""Results of single runs on disk: a comparison that was killed finds them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddcore.errors import CheckpointError, DistillationError, OutputExistsError
from ddcore.ground import read_json, write_atomically

MAX_RESULT = 2**22
LONGEST_NAME = 160


@dataclass(frozen=True)
class KeptResults:
    """A folder with one JSON file per run: what it was, and what it gave.

    Attributes:
        directory: the folder.
    """

    directory: Path

    def get(self, name: str, facts: Mapping[str, Any], run: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return what a run gave before, or run it now and keep the result.

        Args:
            name: of the run; tells its file from others.
            facts: what the result depends on, as JSON data.
            run: gives the result, as JSON data.

        Raises:
            OutputExistsError: the file holds a result of other facts.
            CheckpointError: it is damaged.
        """
        known = self.find(name, facts)
        return self.keep(name, facts, run()) if known is None else known

    def find(self, name: str, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what a run gave before, or None; errors are those of `get`."""
        path, wanted = self._path(name), _as_json(facts)
        if not path.exists():
            return None
        try:
            known = read_json(path, MAX_RESULT)
            before, result = known["facts"], dict(known["outcome"])
        except (DistillationError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error}): delete it, and its run is made again") from error
        if before != wanted:
            odd = [name for name in wanted if before.get(name) != wanted[name]]
            raise OutputExistsError(
                f"{path} is of another comparison ({', '.join(odd)} differ): choose another directory"
            )
        return result

    def keep(self, name: str, facts: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
        """Write what a run gave; return it as it will be found again."""
        path, outcome = self._path(name), _as_json(result)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"facts": _as_json(facts), "outcome": outcome}, indent=1).encode())
        return outcome

    def _path(self, name: str) -> Path:
        return self.directory / f"{stem(name)}.json"


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(value)))


def file_name(text: str) -> str:
    """Return a text as the name of a file."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in text)


def stem(text: str) -> str:
    """Return a text as a name of a file that no other text has: readable, then a hash."""
    return f"{file_name(text)[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
