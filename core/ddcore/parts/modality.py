"""What a modality is: a kind of data, such as images, with everything that only it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.parts.architecture import ARCHITECTURES, Architecture
from ddcore.parts.augmentation import Augmentation, NoAugmentation, UsualAugmentation
from ddcore.parts.factorization import FACTORIZATIONS, Factorization
from ddcore.parts.spec import Spec
from ddcore.parts.target import TargetData


@dataclass(frozen=True, eq=False)
class Decoded:
    """The examples of a summary, as its modality shows them.

    Attributes:
        spec: facts of the data.
        inputs: normalised, ``n x ...``.
        targets: class ids, ``n``; or ``n x outputs``.
        owners: the class id that each example belongs to.
    """

    spec: Spec
    inputs: Tensor
    targets: Tensor
    owners: Tensor


class Modality(ABC):
    """One kind of data.

    Attributes:
        architectures: those that take only such data.
        usual_network: trained on such data where no other is named.
        usual_augmentation: of such data in training.
        factorizations: those that make only such data.
        as_stored: the factorization whose examples are their own free parameters.
        first: whether summaries that name no modality are of this one. They were written before
            there were several.
    """

    name: ClassVar[str]
    architectures: ClassVar[tuple[type[Architecture], ...]]
    usual_network: ClassVar[Architecture]
    usual_augmentation: ClassVar[Augmentation] = NoAugmentation()
    factorizations: ClassVar[tuple[type[Factorization], ...]]
    as_stored: ClassVar[type[Factorization]]
    first: ClassVar[bool] = False

    @property
    @abstractmethod
    def sources(self) -> tuple[str, ...]:
        """Names of data and forms of files that the loader takes."""

    @abstractmethod
    def recognises(self, source: object) -> bool:
        """Whether ``source`` looks like such data."""

    @abstractmethod
    def loader(self) -> Callable[..., TargetData]:
        """Return the function that loads such data. Its keyword arguments are the options."""

    @abstractmethod
    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        """Return the spec that `Spec.to_json` recorded. Anything amiss in it is an error.

        Args:
            config: the record; a stranger may have written it.
            tensors: reads the normalisation's tensors. It is called only if there are any.
        """

    @abstractmethod
    def as_text(self, decoded: Decoded, per_class: int) -> str:
        """Return examples as text for a terminal, ``per_class`` of each class."""

    def picture(self, decoded: Decoded) -> Tensor | None:
        """Return a picture of the examples, ``height x width x 3`` bytes; None if there is none."""
        return None

    def forms(self) -> Mapping[str, Callable[[Decoded], Any]]:
        """Return functions that turn examples into types of the modality's users, by name."""
        return {}


MODALITIES: dict[str, Modality] = {}
"""All known modalities, by name."""


def add_modality(modality: Modality) -> None:
    """Make a modality known, with its architectures and factorizations."""
    MODALITIES[modality.name] = modality
    ARCHITECTURES.update({kind.name: kind for kind in modality.architectures})
    FACTORIZATIONS.update({kind.name: kind for kind in (*modality.factorizations, modality.as_stored)})


def modality_named(name: str) -> Modality:
    """Return a modality from its name."""
    if name not in MODALITIES:
        raise UnknownNameError("modality", name, MODALITIES)
    return MODALITIES[name]


def require_fitting(part: Architecture | Factorization | Augmentation, spec: Spec) -> None:
    """Raise `UnsupportedError` if a part is of another kind of data."""
    if part.modality in MODALITIES and part.modality != spec.modality:
        raise UnsupportedError(
            f"{type(part).__name__} is for {part.modality}, the data are {spec.modality}: choose another part, or let "
            "method.suited_to(target.spec) choose"
        )


def suited_architecture(architecture: Architecture, spec: Spec) -> Architecture:
    """Return ``architecture`` if it takes such data, else the usual one of such data."""
    if architecture.modality in (None, spec.modality):
        return architecture
    return MODALITIES[spec.modality].usual_network if spec.modality in MODALITIES else architecture


def suited_augmentation(augmentation: Augmentation, spec: Spec) -> Augmentation:
    """Return ``augmentation`` without what would change the class of such data.

    `UsualAugmentation` gives the usual one of such data. One of another modality gives none.
    """
    if isinstance(augmentation, UsualAugmentation):
        known = spec.modality in MODALITIES
        augmentation = MODALITIES[spec.modality].usual_augmentation if known else NoAugmentation()
    if augmentation.modality not in (None, spec.modality):
        return NoAugmentation()
    return augmentation.suited_to(spec)


def suited_factorization(factorization: Factorization, spec: Spec) -> Factorization:
    """Return ``factorization`` if it makes such data, else its counterpart that does.

    Raises:
        UnsupportedError: it has no counterpart.
    """
    if factorization.modality in (None, spec.modality) or spec.modality not in MODALITIES:
        return factorization
    as_stored = MODALITIES[spec.modality].as_stored
    counterpart = factorization.as_kind(as_stored)
    if counterpart is None:
        raise UnsupportedError(
            f"{factorization.name} makes {factorization.modality}, the data are {spec.modality}: store {as_stored.name}"
        )
    return counterpart
