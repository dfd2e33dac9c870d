"""What a modality is: a kind of data, such as images, with everything that only it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ddcore.errors import UnknownNameError
from ddcore.parts.architecture import ARCHITECTURES, Architecture
from ddcore.parts.augmentation import Augmentation, NoAugmentation
from ddcore.parts.coreset_rule import RULES, CoresetRule
from ddcore.parts.factorization import FACTORIZATIONS, Factorization
from ddcore.parts.learner import LEARNERS, Learner
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

    def first_of_classes(self, per_class: int) -> dict[int, list[int]]:
        """Return, per class id, the indices of its first ``per_class`` examples."""
        found = {c: (self.owners == c).nonzero().flatten()[:per_class] for c in self.owners.unique().tolist()}
        return {class_id: indices.tolist() for class_id, indices in found.items()}


@dataclass(frozen=True, eq=False)
class Card:
    """Some examples as a page shows them: pictures, lines of text, or a table.

    Attributes:
        title: what they have in common, such as a class.
        pictures: each ``height x width x 3`` bytes.
        says: a text alternative for each picture.
        lines: examples that are read, one each.
        columns: titles of the table's columns.
        rows: of the table, as texts.
    """

    title: str
    pictures: tuple[Tensor, ...] = ()
    says: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Export:
    """A form of files: what writes examples in it.

    Attributes:
        write: takes the examples, the path of a file or of a new folder, and the summary's card.
        ending: that the path of a file must have. Empty: a folder is written.
    """

    write: Callable[[Decoded, Path, str], None]
    ending: str = ""


class Modality(ABC):
    """One kind of data.

    Attributes:
        architectures: those that take only such data.
        usual_network: trained on such data where no other is named.
        usual_augmentation: of such data in training.
        factorizations: those that make only such data.
        as_stored: the factorization whose examples are their own free parameters.
        rules: of selection, that take only such data.
        learners: that take only such data.
        usual_learners: what learns from such data where nothing is named. Empty: a network does.
        references: learners that are trained on all real data, to compare with, where nothing is
            named.
        sure: whether what it recognises, by its content, is no other modality's.
        first: whether summaries that name no modality are of this one. They were written before
            there were several.
    """

    name: ClassVar[str]
    architectures: ClassVar[tuple[type[Architecture], ...]]
    usual_network: ClassVar[Architecture]
    usual_augmentation: ClassVar[Augmentation] = NoAugmentation()
    factorizations: ClassVar[tuple[type[Factorization], ...]]
    as_stored: ClassVar[type[Factorization]]
    rules: ClassVar[tuple[type[CoresetRule], ...]] = ()
    learners: ClassVar[tuple[type[Learner], ...]] = ()
    usual_learners: ClassVar[tuple[Learner, ...]] = ()
    references: ClassVar[tuple[Learner, ...]] = ()
    sure: ClassVar[bool] = False
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

    @abstractmethod
    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        """Return examples as a page shows them, ``per_class`` of each class."""

    def selection(self, factorization: Factorization) -> Factorization:
        """Return what stores chosen real examples in place of another modality's factorization.

        None of its values is learned.
        """
        return factorization

    def counterpart(self, factorization: Factorization) -> Factorization | None:
        """Return what stores such data in place of a factorization of others; None: nothing."""
        return factorization.as_kind(self.as_stored)

    def codecs(self, spec: Spec) -> Mapping[str, Factorization]:
        """Return ways to compress examples, by name: fewer numbers of each, on few levels.

        Method ``auto`` chooses among them (`ddcore.choosing`). Most modalities have none.
        """
        return {}

    def picture(self, decoded: Decoded) -> Tensor | None:
        """Return a picture of the examples, ``height x width x 3`` bytes; None if there is none."""
        return None

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        """Return what examples become, by name.

        Functions turn them into types of the modality's users. An `Export` writes them to disk.
        """
        return {}


MODALITIES: dict[str, Modality] = {}
"""All known modalities, by name."""


def add_modality(modality: Modality) -> None:
    """Make a modality known, with its architectures, factorizations, rules and learners."""
    MODALITIES[modality.name] = modality
    ARCHITECTURES.update({kind.name: kind for kind in modality.architectures})
    FACTORIZATIONS.update({kind.name: kind for kind in (*modality.factorizations, modality.as_stored)})
    RULES.update({kind.name: kind for kind in modality.rules})
    LEARNERS.update({kind.name: kind for kind in modality.learners})


def modality_named(name: str) -> Modality:
    """Return a modality from its name."""
    if name not in MODALITIES:
        raise UnknownNameError("modality", name, MODALITIES)
    return MODALITIES[name]
