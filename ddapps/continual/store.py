"""A memory on disk: a folder per experience, written when the experience is finished."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ddcore as dd
from ddcore.errors import CheckpointError, DistillationError, OutputExistsError
from ddcore.ground import read_json, write_atomically
from ddcore.parts import Factorization

STEP = "memory.json"
CHOICE = "choice.json"
MAX_STEP = 2**24

Entry = tuple[dd.DataSummary, int, int]
"""A summary, the experience that it is of, and its task label."""


class Found(NamedTuple):
    """What was kept after an experience, and the seconds that it took."""

    kept: tuple[Entry, ...]
    seconds: float


class Store:
    """What a memory held after each experience.

    ``experience-0003/memory.json`` lists the summaries that were kept after the fourth experience,
    by their place. Those made then lie beside it, others in the folders of earlier experiences. It
    is written last: a folder without it is of an experience that was not finished.
    """

    def __init__(self, directory: Path, factorizations: Mapping[str, type[Factorization]] | None = None) -> None:
        if directory.exists() and not directory.is_dir():
            raise OutputExistsError(f"{directory} is a file: a memory needs a directory")
        self.directory = directory
        self._factorizations = dict(factorizations or {})
        self._places: dict[str, str] = {}

    def read(self, experience: int, facts: Mapping[str, Any]) -> Found | None:
        """Return what was kept after an experience, None if it was not finished.

        Raises:
            OutputExistsError: the folder's experience was other data, followed on another memory,
                or was distilled by other settings.
            CheckpointError: the folder is damaged.
        """
        path = self._folder(experience) / STEP
        if not path.exists():
            return None
        told = json.loads(json.dumps(dict(facts)))
        try:
            step = read_json(path, MAX_STEP)
            known, seal = step["facts"], step.pop("sha256")
            if seal != _seal(step):
                raise CheckpointError("it does not have the recorded hash")
            if known == told:
                return Found(tuple(self._load(**entry) for entry in step["kept"]), float(step["seconds"]))
            odd = [name for name in told if known.get(name) != told[name]]
        except (TypeError, KeyError, AttributeError, ValueError, OSError, CheckpointError) as error:
            raise CheckpointError(
                f"{path.parent} is damaged ({error}): delete it and later ones to go on before it"
            ) from error
        raise OutputExistsError(
            f"{path.parent} holds an experience of another run ({', '.join(odd)} differ): choose another directory, or delete it and later ones"
        )

    def _load(self, place: str, sha256: str, experience: int, task: int) -> Entry:
        folder = (self.directory / place).resolve()
        if self.directory.resolve() not in folder.parents:
            raise CheckpointError(f"it names a summary outside of the directory: {place}")
        summary = dd.DataSummary.load(folder, factorizations=self._factorizations)
        if summary.sha256() != sha256:
            raise CheckpointError(f"{place} is not the summary that was written there")
        self._places[sha256] = place
        return summary, experience, task

    def write(self, experience: int, facts: Mapping[str, Any], kept: Sequence[Entry], seconds: float) -> None:
        """Write what is kept after an experience, and how long it took."""
        folder, entries = self._folder(experience), []
        for index, (summary, made_of, task) in enumerate(kept):
            digest = summary.sha256()
            if digest not in self._places:
                place = f"{folder.name}/summary-{index}"
                summary.save(self.directory / place, overwrite=True)
                self._places[digest] = place
            entries.append({"place": self._places[digest], "sha256": digest, "experience": made_of, "task": task})
        step = {"facts": dict(facts), "kept": entries, "seconds": round(seconds, 3)}
        write_atomically(folder / STEP, json.dumps({**step, "sha256": _seal(step)}, indent=1).encode())
        self.discard_checkpoints(experience)

    def choice(self, facts: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the record of the choice that was made here, or None.

        Args:
            facts: what it must depend on; None: they are not looked at.

        Raises:
            CheckpointError: its file is damaged.
        """
        path = self.directory / CHOICE
        if not path.exists():
            return None
        try:
            told = read_json(path, MAX_STEP)
            facts_then, record = told["facts"], dict(told["record"])
        except (TypeError, KeyError, ValueError, OSError, DistillationError) as error:
            raise CheckpointError(f"{path} is damaged ({error}): delete the directory to begin anew") from error
        return record if facts is None or facts_then == json.loads(json.dumps(dict(facts))) else None

    def keep_choice(self, facts: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Write the record of a choice."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_atomically(self.directory / CHOICE, json.dumps({"facts": dict(facts), "record": dict(record)}).encode())

    def discard_checkpoints(self, experience: int, purpose: str = "") -> None:
        """Delete the checkpoints of finished distillations, of an experience or of one purpose."""
        for left in self._folder(experience).glob(f"{purpose}*.checkpoint*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def checkpoint(self, experience: int, purpose: str, *what: str) -> Path:
        """Return where the checkpoint of a distillation is kept until its experience is finished.

        Args:
            experience: during which it runs.
            purpose: why it runs.
            what: everything that it depends on.
        """
        folder = self._folder(experience)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{purpose}-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}.checkpoint"

    def _folder(self, experience: int) -> Path:
        return self.directory / f"experience-{experience:04d}"


def _seal(step: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(step, sort_keys=True).encode()).hexdigest()
