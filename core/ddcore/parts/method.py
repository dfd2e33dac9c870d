"""`Method`: a composition of parts. It holds only settings, so it serves any number of runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ddcore.errors import Setting, SettingsError, UnknownNameError, UnsupportedError
from ddcore.ground.devices import PRECISIONS, usual_precision
from ddcore.ground.optimiser import Optimiser
from ddcore.parts.architecture import as_architecture
from ddcore.parts.augmentation import Augmentation, NoAugmentation
from ddcore.parts.factorization import Factorization
from ddcore.parts.labels import Labelling
from ddcore.parts.matching import Matching
from ddcore.parts.modality import MODALITIES
from ddcore.parts.network_source import NetworkSource, NoNetworks
from ddcore.parts.spec import Spec
from ddcore.parts.suiting import require_fitting, suited
from ddcore.settings import describe, override, require, with_every


@dataclass(frozen=True)
class Method:
    """A distillation method.

    Attributes:
        factorization: what is stored, and how it becomes examples.
        matching: what is optimised. None: the initialisation is the result, as of a coreset.
        networks: where networks come from. Without a matching none are needed.
        optimiser: of the stored parameters.
        augmentation: real and synthetic examples get the same draws of it.
        steps: number of steps. One step is one pass over the matching's terms.
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp64``. None: the usual one of the device.
        name: of the published method, or ``custom``.
        preset: which settings these are: ``paper`` (those of the method's source), ``cpu``, or
            ``custom``.
        normalisation: that of the method's source, a name for `load_data`. None: the data choose.
        protocol: that of the method's source, a name in ``ddcore.evaluation.PROTOCOLS`` or
            ``krr``. None: none is known.
        cites: keys of `ddcore.citations`.
        labels: what labels the examples in the end. None: their class ids, or what is learned.
    """

    factorization: Factorization
    matching: Matching | None = None
    networks: NetworkSource = field(default_factory=NoNetworks)
    optimiser: Optimiser = field(default_factory=Optimiser)
    augmentation: Augmentation = field(default_factory=NoAugmentation)
    steps: int = 0
    precision: str | None = None
    name: str = "custom"
    preset: str = "custom"
    normalisation: str | None = None
    protocol: str | None = None
    cites: tuple[str, ...] = ()
    labels: Labelling | None = None

    def __post_init__(self) -> None:
        require(
            isinstance(self.steps, int) and self.steps >= 0, f"steps must be a whole number from 0, not {self.steps}"
        )
        if self.precision is not None and self.precision not in PRECISIONS:
            raise UnknownNameError("precision", self.precision, PRECISIONS)
        require(
            self.matching is not None or self.steps == 0,
            f"a method without a matching has no steps to take, {self.steps} are asked for: leave out ",
            Setting("steps"),
        )
        if self.matching is not None:
            self.matching.check_networks(self.networks)
        if self.augmentation.mixes_examples:
            raise SettingsError(
                "an augmentation that mixes examples (CutMix) has no draw that real and synthetic batches could share: "
                "use it in the training of networks"
            )
        soft = getattr(self.factorization, "labels", "hard") != "hard"
        if soft and (self.matching is None or not self.matching.trains_labels):
            raise SettingsError(
                f"soft labels would stay as they start: {type(self.matching).__name__} does not train labels. Use labels='hard'"
            )

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        parts = (
            "name",
            "preset",
            "steps",
            "precision",
            "factorization",
            "matching",
            "networks",
            "optimiser",
            "augmentation",
            "normalisation",
            "protocol",
        )
        labelled = {} if self.labels is None else {"labels": describe(self.labels)}
        return {part: describe(getattr(self, part)) for part in parts} | labelled

    def described_after(self, steps: int) -> dict[str, Any]:
        """Return what `describe` does, as a summary records it after so many steps.

        What no step of a matching has changed is named as the initialisation alone.
        """
        described = self.describe()
        if steps == 0 and self.matching is not None:
            described["name"] = f"initialisation of {self.name}"
        return described

    def asks(self) -> frozenset[str]:
        """Return the questions that a run asks of the real signal.

        They are among ``select``, ``batch``, ``features``, ``gradients`` and ``validate``. To these
        comes ``teacher`` where parts follow networks that have seen real examples.
        """
        asked = self.factorization.asks() | (frozenset({"teacher"}) if self.labels else frozenset())
        if self.matching is None:
            return asked
        return asked | self.matching.asks() | self.networks.asks()

    def on_networks(self, networks: object) -> Method:
        """Return a copy that distils on other networks.

        A method without a matching needs no networks, so it ignores an architecture.

        Args:
            networks: a `NetworkSource`; or only an architecture, in any form that
                `as_architecture` takes. It is then drawn and trained as this method's networks.

        Raises:
            UnsupportedError: an architecture is given, but this method's networks have none.
        """
        if isinstance(networks, NetworkSource):
            return replace(self, networks=networks)
        if self.matching is None:
            return self
        architecture = as_architecture(networks)
        if isinstance(self.networks, NoNetworks):
            raise UnsupportedError(f"{self.name} matches without networks: there is none to replace")
        if not hasattr(self.networks, "architecture"):
            raise UnsupportedError(
                f"{type(self.networks).__name__} draws no networks of an architecture: pass a source, such as "
                "FreshNetworks(architecture)"
            )
        return override(self, "networks.architecture", architecture)

    def with_teachers(self, *teachers: object) -> Method:
        """Return a copy whose parts follow these teachers (`ddcore.Teacher`).

        Raises:
            SettingsError: no part follows a teacher.
        """
        if not self.follows_teachers():
            raise SettingsError(f"{self.name} follows no teacher: leave it out")
        return with_every(self, "teachers", teachers)

    def follows_teachers(self) -> bool:
        """Whether a part follows teachers, or labels by them are asked for."""
        return with_every(self, "teachers", (None,)) is not self

    def with_steps(self, steps: int | None) -> Method:
        """Return a copy with another number of steps. None keeps the number."""
        return self if steps is None else replace(self, steps=steps)

    def at_precision(self, precision: str | None, device: torch.device) -> Method:
        """Return a copy that says its precision: this, its own, or the device's usual one."""
        return replace(self, precision=precision or self.precision or usual_precision(device))

    def require_fitting(self, spec: Spec) -> None:
        """Raise `UnsupportedError` if a part is for another modality than that of the data."""
        require_fitting(self, spec)

    def suited_to(self, spec: Spec) -> Method:
        """Return this method for such data. Parts for another modality are replaced.

        The usual architecture of such data replaces an architecture, no augmentation an
        augmentation, its counterpart a factorization. Where nothing is learned, the modality says
        what stores chosen examples. The method is then no preset, and names no normalisation.

        Raises:
            UnsupportedError: the factorization has no counterpart for such data.
        """
        given = self
        if self.matching is None and self.factorization.modality != spec.modality and spec.modality in MODALITIES:
            given = replace(self, factorization=MODALITIES[spec.modality].selection(self.factorization))
        made: Method = suited(given, spec)
        if made.factorization is self.factorization or made.factorization.items == self.factorization.items:
            return made
        optimiser = self.optimiser.renamed(self.factorization.items, made.factorization.items)
        return replace(made, optimiser=optimiser, preset="custom", normalisation=None)
