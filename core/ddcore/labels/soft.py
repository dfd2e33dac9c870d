"""One soft label per example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ddcore.labels.checks import check_entries, read_makers, read_storage, read_temperature
from ddcore.labels.logits import LogitStorage
from ddcore.parts import Labelling, Labels, Spec
from ddcore.settings import with_settings


@dataclass(frozen=True, eq=False)
class SoftLabels(Labels):
    r"""One distribution per example, :math:`\mathrm{softmax}(z / T)` of stored logits :math:`z`."""

    packed: Mapping[str, Tensor]
    storage: LogitStorage
    temperature: float
    count: int
    num_classes: int
    made_by: tuple[str, ...] = ()
    kind: ClassVar[str] = "soft"

    def stored(self) -> dict[str, Tensor]:
        return dict(self.packed)

    def config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "storage": self.storage.storage,
            "top": self.storage.top,
            "made_by": list(self.made_by),
        }

    def made_like(self, labelling: Labelling) -> Labelling:
        return with_settings(labelling, kind=self.kind, temperature=self.temperature, **self.storage.settings())

    @classmethod
    def restore(cls, config: Mapping[str, Any], stored: Mapping[str, Tensor], count: int, spec: Spec) -> SoftLabels:
        check_entries(config, {"temperature", "storage", "top", "made_by"})
        storage, temperature = read_storage(config), read_temperature(config)
        labels = cls(stored, storage, temperature, count, spec.num_classes, read_makers(config))
        labels.fixed()
        return labels

    def fixed(self) -> Tensor:
        return (self.storage.unpack(self.packed, self.count, self.num_classes) / self.temperature).softmax(dim=1)
