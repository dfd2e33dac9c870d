"""Teachers that label each view as it is trained on. They are stored in place of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError
from ddcore.labels.checks import MAX_TEACHERS, check_entries, read_count, read_temperature
from ddcore.parts import Batch, Feed, Labelling, Labels, Network, Spec
from ddcore.settings import with_settings
from ddcore.training import Teacher
from ddcore.training.teacher import read_facts


@dataclass(frozen=True, eq=False)
class TeacherLabels(Labels):
    r"""Labels :math:`\mathrm{softmax}(z / T)`; :math:`z` is the mean of the teachers' logits."""

    teachers: tuple[Teacher, ...]
    temperature: float
    kind: ClassVar[str] = "teacher"

    @property
    def made_by(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(teacher.sha256 for teacher in self.teachers)

    def stored(self) -> dict[str, Tensor]:
        every = enumerate(self.teachers)
        return {f"{n}.{name}": tensor for n, teacher in every for name, tensor in teacher.module.state_dict().items()}

    def config(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "networks": [teacher.architecture for teacher in self.teachers]}

    def made_like(self, labelling: Labelling) -> Labelling:
        return with_settings(labelling, kind=self.kind, temperature=self.temperature, teachers=self.teachers)

    @classmethod
    def restore(cls, config: Mapping[str, Any], stored: Mapping[str, Tensor], count: int, spec: Spec) -> TeacherLabels:
        check_entries(config, {"temperature", "networks"})
        networks, facts = config["networks"], read_facts(spec)
        if not isinstance(networks, list) or not all(isinstance(name, str) for name in networks):
            raise SummaryFormatError("labels by teachers name their networks")
        read_count({"teachers": len(networks)}, "teachers", MAX_TEACHERS)
        teachers, used = [], set()
        for n, name in enumerate(networks):
            prefix = f"{n}."
            weights = {key.removeprefix(prefix): t for key, t in stored.items() if key.startswith(prefix)}
            used |= {prefix + key for key in weights}
            teachers.append(Teacher.restored(name, facts, weights))
        if used != set(stored):
            raise SummaryFormatError(f"labels hold tensors of no teacher: {sorted(set(stored) - used)[:5]}")
        return cls(tuple(teachers), read_temperature(config))

    def feed(self, device: torch.device, dtype: torch.dtype) -> Feed:
        return _TeacherFeed([teacher.network(device, dtype) for teacher in self.teachers], self.temperature)


class _TeacherFeed(Feed):
    def __init__(self, networks: Sequence[Network], temperature: float) -> None:
        self._networks, self._temperature = networks, temperature

    def targets(self, epoch: int, number: int, viewed: Batch) -> Tensor:
        return (mean_logits(self._networks, viewed.inputs) / self._temperature).softmax(dim=1)


def mean_logits(networks: Sequence[Network], inputs: Tensor) -> Tensor:
    """Return the mean of several networks' logits, ``n x num_classes``, without a graph."""
    with torch.no_grad():
        logits: Tensor = torch.stack([network.logits(inputs) for network in networks]).mean(dim=0)
    return logits
