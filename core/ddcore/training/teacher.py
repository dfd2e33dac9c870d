"""`Teacher`: a trained network, with the facts of the data that it reads. On disk or in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddcore.errors import DAMAGES, DistillationError, TeacherError, UnsupportedError
from ddcore.ground.devices import resolve_device
from ddcore.ground.differences import difference
from ddcore.ground.tensorfile import file_sha256, read_json, read_tensors, write_atomically, write_tensors
from ddcore.parts import (
    ARCHITECTURES,
    Architecture,
    Network,
    Spec,
    Split,
    architecture_label,
    find_head,
    plain_copy,
    rebuilt,
    scored,
    weights_sha256,
)

SCHEMA = 1
MANIFEST, WEIGHTS = "teacher.json", "teacher.safetensors"
_KEYS = {"schema", "architecture", "facts", "record", "weights_sha256"}


@dataclass(frozen=True, eq=False)
class Teacher:
    """A network that was trained on the target, or on data like it. It is trained no more.

    Two teachers are equal if their weights and facts are.

    Attributes:
        module: maps normalised examples to logits ``n x num_classes``. It is in evaluation mode.
        facts: ``shape``, ``num_classes`` and ``normalisation`` of the data that it reads.
        architecture: its name with settings, by which it is built again; None: a module of the
            caller's, which cannot be saved.
        record: how it was trained.
    """

    module: nn.Module
    facts: Mapping[str, Any]
    architecture: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, module: nn.Module, spec: Spec) -> Teacher:
        """Return a teacher that has the weights of a module of the caller's, which is copied.

        Args:
            module: in evaluation mode.
            spec: of the data whose normalised examples it reads.

        Raises:
            UnsupportedError: it is in training mode, takes no such examples, has no linear layer,
                or does not give one logit for each class.
            TeacherError: a weight or a statistic is not finite.
        """
        if any(part.training for part in module.modules()):
            raise UnsupportedError("a teacher's statistics must be fixed: call module.eval() first")
        if not all(bool(torch.isfinite(t).all()) for t in module.state_dict().values() if t.is_floating_point()):
            raise TeacherError("a teacher's weights must be finite: train it anew")
        copied = plain_copy(module)
        find_head(copied, spec.shape, spec.num_classes)
        return cls(copied.requires_grad_(False), read_facts(spec))

    def require_fitting(self, spec: Spec) -> None:
        """Raise `TeacherError` unless the teacher reads such data and tells their classes apart."""
        for name, value in read_facts(spec).items():
            found = difference(self.facts.get(name), value, name)
            if found:
                raise TeacherError(f"the teacher does not fit: {found}. Train one on these data (ddapps teacher train)")

    def network(self, device: torch.device, dtype: torch.dtype) -> Network:
        """Return a copy on a device, whose weights take no gradients."""
        module = plain_copy(self.module).to(device, dtype)
        head = find_head(module, tuple(self.facts["shape"]), int(self.facts["num_classes"]))
        network = Network(module, head)
        network.eval()
        network.requires_grad_(False)
        return network

    def scores(self, split: Split, spec: Spec, device: str | torch.device = "cpu") -> Mapping[str, float]:
        """Return the task's scores on a split."""
        place = resolve_device(device)
        return scored(self.network(place, torch.float32).logits, split, spec, place)

    @property
    def sha256(self) -> str:
        """Hash of weights, buffers and facts."""
        facts = json.dumps(dict(self.facts), sort_keys=True)
        return hashlib.sha256((weights_sha256(self.module) + facts).encode()).hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes of its weights and buffers."""
        return sum(t.numel() * t.element_size() for t in self.module.state_dict().values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Teacher) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def describe(self) -> dict[str, Any]:
        """Record the network's name and the hash of its weights."""
        return {"network": self.architecture or type(self.module).__name__, "sha256": self.sha256}

    def save(self, directory: str | Path) -> Path:
        """Write the teacher to a directory: ``teacher.json`` and ``teacher.safetensors``."""
        folder = Path(directory)
        if self.architecture is None:
            raise UnsupportedError(
                "a teacher of a module of your own cannot be saved: its code is yours. Save its weights"
            )
        if folder.exists() and not folder.is_dir():
            raise TeacherError(f"{folder} is a file: a teacher is kept in a directory")
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / WEIGHTS, self.module.state_dict())
        manifest = {
            "schema": SCHEMA,
            "architecture": self.architecture,
            "facts": dict(self.facts),
            "record": dict(self.record),
            "weights_sha256": file_sha256(folder / WEIGHTS),
        }
        write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
        return folder

    @classmethod
    def load(cls, directory: str | Path) -> Teacher:
        """Read a teacher from a directory.

        Raises:
            TeacherError: there is none, or it is damaged. The message names the fault.
        """
        folder = Path(directory)
        if not (folder / MANIFEST).is_file():
            raise TeacherError(f"{folder} holds no teacher: train one (ddapps teacher train DATA --out {folder})")
        try:
            manifest = read_json(folder / MANIFEST)
            if manifest.get("schema") != SCHEMA or set(manifest) != _KEYS:
                raise TeacherError(f"{folder / MANIFEST} is not of a version that this library reads: train it again")
            if file_sha256(folder / WEIGHTS) != manifest["weights_sha256"]:
                raise TeacherError(f"{WEIGHTS} in {folder} is not the file that {MANIFEST} names: train it again")
            return cls.restored(
                manifest["architecture"], manifest["facts"], read_tensors(folder / WEIGHTS), manifest["record"]
            )
        except TeacherError:
            raise
        except (DistillationError, *DAMAGES) as error:
            raise TeacherError(f"the teacher in {folder} is damaged ({error}): train it again") from error

    @classmethod
    def restored(
        cls,
        architecture: str,
        facts: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        record: Mapping[str, Any] | None = None,
    ) -> Teacher:
        """Return the teacher of a named architecture with these weights and buffers."""
        shape, num_classes = tuple(int(side) for side in facts["shape"]), int(facts["num_classes"])
        module = rebuilt(architecture, shape, num_classes, weights)
        return cls(module.eval().requires_grad_(False), facts, architecture, record or {})


def require_teachers(teachers: Sequence[Teacher], spec: Spec) -> None:
    """Raise `TeacherError` unless there is a teacher, and all fit such data."""
    if not teachers:
        raise TeacherError(
            "a teacher is needed: train one (ddapps teacher train DATA --out DIR; dd.train_teacher) and give it "
            "(--teacher DIR; method.with_teachers(teacher))"
        )
    for teacher in teachers:
        teacher.require_fitting(spec)


def read_facts(spec: Spec) -> dict[str, Any]:
    """Return the facts on which it depends whether a network can read data, as JSON data."""
    return {
        "shape": list(spec.shape),
        "num_classes": spec.num_classes,
        "normalisation": spec.normalisation.describe(),
    }


def name_of(architecture: Architecture) -> str | None:
    """Return the name by which an architecture is built again, or None if it has none."""
    return architecture_label(architecture) if architecture.name in ARCHITECTURES else None
