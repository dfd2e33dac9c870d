"""A memory on disk: a folder per experience, written when the experience is finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ddcore as dd
from ddcore.errors import CheckpointError, OutputExistsError
from ddcore.tensorfile import read_json, write_atomically

STEP = "memory.json"
MAX_STEP = 2**24

Entry = tuple[dd.DataSummary, int, int]
"""A summary, the experience that it is of, and its task label."""


class Store:
    """What a memory held after each experience.

    ``experience-0003/memory.json`` lists the summaries that were kept after the fourth experience, by their place; those made then lie
    beside it, others in the folders of earlier experiences. It is written last: a folder without it is of an experience that was not
    finished.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._places: dict[str, str] = {}

    def read(self, experience: int, facts: Mapping[str, Any]) -> list[Entry] | None:
        """Return what was kept after an experience, None if it was not finished.

        Raises:
            OutputExistsError: the folder's experience was other data, or was distilled by other settings.
            CheckpointError: the folder is damaged.
        """
        path = self._folder(experience) / STEP
        if not path.exists():
            return None
        told = json.loads(json.dumps(dict(facts)))
        try:
            step = read_json(path, MAX_STEP)
            known = step["facts"]
            if known == told:
                return [self._load(**entry) for entry in step["kept"]]
            odd = [name for name in told if known.get(name) != told[name]]
        except (TypeError, KeyError, AttributeError, ValueError, OSError) as error:
            raise CheckpointError(
                f"{path.parent} is damaged ({error}): delete it and later ones to go on before it"
            ) from error
        raise OutputExistsError(
            f"{path.parent} holds an experience of another run ({', '.join(odd)} differ): choose another directory, or delete it"
        )

    def _load(self, place: str, experience: int, task: int) -> Entry:
        folder = (self.directory / place).resolve()
        if self.directory.resolve() not in folder.parents:
            raise CheckpointError(f"the memory names a summary outside of its directory: {place}")
        summary = dd.DataSummary.load(folder)
        self._places[summary.sha256()] = place
        return summary, experience, task

    def write(self, experience: int, facts: Mapping[str, Any], kept: Sequence[Entry]) -> None:
        """Write what is kept after an experience."""
        folder, entries = self._folder(experience), []
        for index, (summary, made_of, task) in enumerate(kept):
            digest = summary.sha256()
            if digest not in self._places:
                place = f"{folder.name}/summary-{index}"
                summary.save(self.directory / place, overwrite=True)
                self._places[digest] = place
            entries.append({"place": self._places[digest], "experience": made_of, "task": task})
        write_atomically(folder / STEP, json.dumps({"facts": dict(facts), "kept": entries}, indent=1).encode())
        for left in folder.glob("*.checkpoint*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def checkpoint(self, experience: int, purpose: str) -> Path:
        """Return where a distillation's checkpoint is kept while it runs."""
        folder = self._folder(experience)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{purpose}.checkpoint"

    def _folder(self, experience: int) -> Path:
        return self.directory / f"experience-{experience:04d}"
