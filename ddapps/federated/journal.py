"""The server's state on disk, written after every round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddapps.federated.agreement import Agreement
from ddapps.federated.global_model import Weights
from ddapps.federated.wire import Contribution, Rejection, part_text, squeezed
from ddcore.errors import CheckpointError, DistillationError, OutputExistsError
from ddcore.ground import pack_tensors, read_json, unpack_tensors, write_atomically
from ddcore.parts import Recipe
from ddcore.summary import DataSummary

STATE = "state.json"
MAX_STATE = 2**26


@dataclass(frozen=True, eq=False)
class State:
    """What a run has come to.

    Attributes:
        round: the last complete one.
        weights: of the global model.
        contributions: the last one of every client, and all supplements.
        rejections: all so far.
        history: an entry for each round.
    """

    round: int
    weights: Weights
    contributions: list[Contribution]
    rejections: list[Rejection]
    history: list[dict[str, Any]]


class Journal:
    """A directory: ``state.json`` names the files of the last complete round, each by its hash.

    A server that is killed while it writes finds the round before. Files of earlier rounds are
    removed once the state names new ones.

    Args:
        directory: of one run.
        facts: what tells that run from another, as JSON data.
    """

    def __init__(self, directory: Path, facts: Mapping[str, Any]) -> None:
        self.directory = directory
        self.facts = facts

    def write(self, state: State) -> None:
        """Write weights, contributions and rejections; the state comes last."""
        self.directory.mkdir(parents=True, exist_ok=True)
        written: dict[str, Any] = {
            "facts": self.facts,
            "round": state.round,
            "weights": self._keep(pack_tensors(state.weights)),
            "contributions": [self._entry(contribution) for contribution in state.contributions],
            "rejections": [[r.round, r.node, r.reason] for r in state.rejections],
            "history": state.history,
        }
        write_atomically(self.directory / STATE, json.dumps(written, indent=1).encode())
        named = {written["weights"], *(entry["tensors"] for entry in written["contributions"])}
        for file in self.directory.glob("*.safetensors"):
            if file.name not in named:
                file.unlink()

    def read(self, agreement: Agreement) -> State | None:
        """Return the state of a run that was interrupted, or None where there is none.

        Args:
            agreement: of that run: what summaries are read by.

        Raises:
            OutputExistsError: the directory holds another run.
            CheckpointError: it is damaged.
        """
        path = self.directory / STATE
        if not path.exists():
            return None
        try:
            state = read_json(path, MAX_STATE)
            known = state["facts"]
            same = known == json.loads(json.dumps(self.facts))
            found = self._restored(agreement, state) if same else None
        except OutputExistsError:
            raise
        except (DistillationError, LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}): delete the directory, and the run starts anew"
            ) from error
        if found is None:
            raise OutputExistsError(f"{self.directory} holds a run of other settings or data: choose another directory")
        return found

    def _restored(self, agreement: Agreement, state: dict[str, Any]) -> State:
        return State(
            int(state["round"]),
            unpack_tensors(self._content(state["weights"]), state["weights"]),
            [self._contribution(agreement, entry) for entry in state["contributions"]],
            [Rejection(int(r), int(node), str(reason)) for r, node, reason in state["rejections"]],
            list(state["history"]),
        )

    def _entry(self, contribution: Contribution) -> dict[str, Any]:
        (part,) = contribution.summary.parts
        return {
            "client": contribution.client,
            "node": contribution.node,
            "round": contribution.round,
            "counts": [[class_id, count] for class_id, count in contribution.counts.items()],
            "num_examples": contribution.num_examples,
            "supplement": contribution.supplement,
            "seconds": contribution.seconds,
            "steps": contribution.steps,
            "part": part_text(part),
            "recipe": contribution.summary.recipe.to_json(),
            "record": dict(contribution.summary.record),
            "tensors": self._keep(squeezed(part)),
        }

    def _contribution(self, agreement: Agreement, entry: dict[str, Any]) -> Contribution:
        part = agreement.part(self._content(entry["tensors"]), json.loads(entry["part"]))
        recipe = Recipe.restore(entry["recipe"])
        return Contribution(
            client=str(entry["client"]),
            node=int(entry["node"]),
            round=int(entry["round"]),
            summary=DataSummary((part,), agreement.spec, recipe, entry["record"]),
            counts={int(class_id): int(count) for class_id, count in entry["counts"]},
            num_examples=int(entry["num_examples"]),
            supplement=bool(entry["supplement"]),
            seconds=entry["seconds"],
            steps=entry["steps"],
        )

    def _keep(self, content: bytes) -> str:
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        if not (self.directory / name).exists():
            write_atomically(self.directory / name, content)
        return name

    def _content(self, name: str) -> bytes:
        path = self.directory / Path(name).name
        content = path.read_bytes() if path.exists() else b""
        if f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors" != name:
            raise CheckpointError(f"{path.name} is missing or was changed")
        return content
