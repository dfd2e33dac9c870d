"""The server's state on disk, written after every round."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddapps.federated.wire import Contribution, Rejection, part_text, squeezed
from ddcore import Recipe
from ddcore.errors import CheckpointError, DistillationError, OutputExistsError
from ddcore.summary import DataSummary, pack_tensors, unpack_tensors, write_atomically
from ddcore.tensorfile import read_json

if TYPE_CHECKING:
    from ddapps.federated.server import Server

STATE = "state.json"
MAX_STATE = 2**26


class Journal:
    """A directory: ``state.json`` names the files of the last complete round, each by its hash.

    A server that is killed while it writes finds the round before. Files of earlier rounds are removed once the state names new ones.

    Args:
        directory: of one run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, server: Server) -> None:
        """Write weights, contributions and rejections; the state comes last."""
        self.directory.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "facts": server.facts(),
            "round": server.round,
            "weights": self._keep(pack_tensors(server.weights)),
            "contributions": [self._entry(server.contributions[name]) for name in sorted(server.contributions)],
            "rejections": [[r.round, r.node, r.reason] for r in server.rejections],
            "history": server.history,
        }
        write_atomically(self.directory / STATE, json.dumps(state, indent=1).encode())
        named = {state["weights"], *(entry["tensors"] for entry in state["contributions"])}
        for file in self.directory.glob("*.safetensors"):
            if file.name not in named:
                file.unlink()

    def read(self, server: Server) -> None:
        """Take up the state of a run that was interrupted, where there is one.

        Raises:
            OutputExistsError: the directory holds another run.
            CheckpointError: it is damaged.
        """
        path = self.directory / STATE
        if not path.exists():
            return
        try:
            state = read_json(path, MAX_STATE)
            known = state["facts"]
            same = known == json.loads(json.dumps(server.facts()))
            if same:
                self._restore(server, state)
        except OutputExistsError:
            raise
        except (DistillationError, LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}): delete the directory, and the run starts anew"
            ) from error
        if not same:
            raise OutputExistsError(f"{self.directory} holds a run of other settings or data: choose another directory")

    def _restore(self, server: Server, state: dict[str, Any]) -> None:
        server.round = int(state["round"])
        server.weights = unpack_tensors(self._content(state["weights"]), state["weights"])
        for entry in state["contributions"]:
            contribution = self._contribution(server, entry)
            server.contributions[contribution.client] = contribution
        server.rejections = [Rejection(int(r), int(node), str(reason)) for r, node, reason in state["rejections"]]
        server.history = list(state["history"])

    def _entry(self, contribution: Contribution) -> dict[str, Any]:
        (part,) = contribution.summary.parts
        return {
            "client": contribution.client,
            "node": contribution.node,
            "round": contribution.round,
            "counts": [[class_id, count] for class_id, count in contribution.counts.items()],
            "num_examples": contribution.num_examples,
            "part": part_text(part),
            "recipe": contribution.summary.recipe.to_json(),
            "record": dict(contribution.summary.record),
            "tensors": self._keep(squeezed(part)),
        }

    def _contribution(self, server: Server, entry: dict[str, Any]) -> Contribution:
        assert server.agreement is not None
        part = server.agreement.part(self._content(entry["tensors"]), json.loads(entry["part"]))
        recipe = Recipe.restore(entry["recipe"])
        return Contribution(
            client=str(entry["client"]),
            node=int(entry["node"]),
            round=int(entry["round"]),
            summary=DataSummary((part,), server.agreement.spec, recipe, entry["record"]),
            counts={int(class_id): int(count) for class_id, count in entry["counts"]},
            num_examples=int(entry["num_examples"]),
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
