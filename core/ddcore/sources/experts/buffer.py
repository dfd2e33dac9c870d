"""Experts on disk: a manifest that says what they are, and a file of weights for each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ddcore.errors import ExpertsError, SummaryFormatError
from ddcore.ground.differences import difference
from ddcore.ground.tensorfile import file_sha256, read_json, write_atomically, write_tensors

SCHEMA = 1
MANIFEST = "experts.json"
_KEYS = {"schema", "architecture", "training", "facts", "seed", "experts"}


class ExpertBuffer:
    """A directory of experts that share architecture, training, data and seed.

    ``experts.json`` holds what they share and, for each expert, the hash of its file and the
    seconds of its training, and the precision of its products unless it was ``fp32``.
    ``expert-00000.safetensors`` holds the ``trajectory`` of the first
    expert, ``(epochs + 1) x P``. Its rows are the P weights before training and after each epoch,
    in the order of ``named_parameters()``.

    Args:
        directory: of the experts.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._manifest: dict[str, Any] = {}
        if (directory / MANIFEST).exists():
            self._manifest = _read_manifest(directory)

    @property
    def shared(self) -> dict[str, Any]:
        """What all experts of the directory share. It is empty for a new one."""
        return {k: v for k, v in self._manifest.items() if k not in ("schema", "experts")}

    @property
    def epochs(self) -> int:
        """Epochs of training of each expert."""
        return int(self._manifest["training"]["epochs"])

    @property
    def seconds(self) -> float:
        """Seconds that training took, all experts together."""
        return float(sum(entry["seconds"] for entry in self._manifest.get("experts", {}).values()))

    def present(self) -> list[int]:
        """Return the numbers of the experts that are complete, ascending."""
        return sorted(int(number) for number in self._manifest.get("experts", {}))

    def begin(self, shared: Mapping[str, Any]) -> None:
        """Write what the experts shall share, or check it if there are experts already.

        Raises:
            ExpertsError: the experts share something else. The message names what differs.
        """
        if self.directory.exists() and not self.directory.is_dir():
            raise ExpertsError(f"{self.directory} is a file: experts are kept in a directory")
        if not self._manifest:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._manifest = {"schema": SCHEMA, **shared, "experts": {}}
            self._write()
        self.require(shared)

    def require(self, wanted: Mapping[str, Any]) -> None:
        """Raise `ExpertsError` unless the experts share what is ``wanted``.

        The message names the first fact that differs.
        """
        for key, value in wanted.items():
            found = difference(self._manifest.get(key), json.loads(json.dumps(value)), key)
            if found:
                raise ExpertsError(
                    f"the experts in {self.directory} do not fit: {found}. Train others (ddapps experts train), or change the run"
                )

    def add(self, number: int, trajectory: Tensor, seconds: float, precision: str = "fp32") -> None:
        """Write a complete expert. It is present once the manifest names it.

        Experts that other processes have added stay.
        """
        path = self._path(number)
        write_tensors(path, {"trajectory": trajectory})
        self._manifest = _read_manifest(self.directory)
        said = {} if precision == "fp32" else {"precision": precision}
        self._manifest["experts"][str(number)] = {"sha256": file_sha256(path), "seconds": round(seconds, 3), **said}
        self._write()

    def check(self) -> None:
        """Raise `ExpertsError` unless every expert's file is the one that the manifest names."""
        for number in self.present():
            path = self._path(number)
            if not path.is_file() or file_sha256(path) != self._manifest["experts"][str(number)]["sha256"]:
                raise ExpertsError(
                    f"{path.name} in {self.directory} is missing or damaged: delete the directory and train the experts again"
                )

    def rows(self, number: int, *epochs: int) -> list[Tensor]:
        """Return the weights of an expert after these epochs, P numbers each.

        Only these rows are read from disk.
        """
        try:
            with safe_open(self._path(number), framework="pt") as file:
                trajectory = file.get_slice("trajectory")
                if len(trajectory.get_shape()) != 2 or trajectory.get_dtype() != "F32":
                    raise ExpertsError(f"expert {number} in {self.directory} is no matrix of float32: train it again")
                return [trajectory[epoch] for epoch in epochs]
        except (SafetensorError, OSError, IndexError) as error:
            raise ExpertsError(f"expert {number} in {self.directory} cannot be read: {error}") from error

    def sha256(self) -> str:
        """Return a hash of what the experts share and of the hashes of their files."""
        hashes = [entry["sha256"] for _, entry in sorted(self._manifest["experts"].items(), key=lambda e: int(e[0]))]
        return hashlib.sha256(json.dumps([self.shared, hashes], sort_keys=True).encode()).hexdigest()

    def _path(self, number: int) -> Path:
        return self.directory / f"expert-{number:05d}.safetensors"

    def _write(self) -> None:
        write_atomically(self.directory / MANIFEST, json.dumps(self._manifest, indent=1).encode())


def _read_manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest = read_json(directory / MANIFEST)
        if manifest.get("schema") != SCHEMA or set(manifest) != _KEYS:
            raise ExpertsError(
                f"{directory / MANIFEST} is not of a version that this library reads: train the experts again"
            )
        for number, entry in manifest["experts"].items():
            seconds, digest = entry["seconds"], entry["sha256"]
            named = re.fullmatch(r"0|[1-9]\d{0,5}", number) and isinstance(digest, str) and len(digest) == 64
            if not named or type(seconds) not in (int, float) or not 0 <= seconds < float("inf"):
                raise ValueError(f"entry {number[:20]!r}")
        if type(manifest["training"]["epochs"]) is not int:
            raise ValueError("the number of epochs")
    except (SummaryFormatError, AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ExpertsError):
            raise
        raise ExpertsError(
            f"{directory / MANIFEST} is damaged ({error}): delete the directory and train the experts again"
        ) from error
    return manifest
