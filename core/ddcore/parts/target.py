"""The target dataset: training, validation and test split, and the public facts about them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddcore import markup
from ddcore.errors import BudgetError, InputDataError, UnknownNameError, UnsupportedError
from ddcore.ground.mapped import chosen, lots
from ddcore.ground.randomness import generator
from ddcore.parts.inputs import are_connected, tensors_of
from ddcore.parts.spec import Spec

MOST_CLASSES = 20
"""How many a notebook shows."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples as they were given. Bytes stay bytes until a batch needs them.

    Attributes:
        inputs: ``n x ...``.
        targets: class ids, ``n``, int64; or numbers, ``n x outputs``, floats.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        inputs, targets = self.inputs, self.targets
        if inputs.ndim < 2:
            raise InputDataError(f"inputs must be n x ..., not of shape {tuple(inputs.shape)}")
        ids = targets.ndim == 1 and targets.dtype == torch.int64
        numbers = targets.ndim == 2 and targets.dtype.is_floating_point
        if len(targets) != len(inputs) or not (ids or numbers):
            raise InputDataError(
                f"{len(inputs)} examples need {len(inputs)} integer labels, or floats n x outputs; got shape "
                f"{tuple(targets.shape)}, {targets.dtype}"
            )
        if numbers and not bool(torch.isfinite(targets).all()):
            raise InputDataError("targets hold NaN or infinity: clean the data first")

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        return f"Split({len(self)} examples, {_sides(self.inputs.shape[1:])})"

    def take(self, indices: Tensor) -> Split:
        """Return the examples at ``indices``."""
        return Split(chosen(self.inputs, indices), self.targets[indices])

    def on_cpu(self) -> Split:
        """Return the same examples on the CPU: this split itself, if they are there."""
        if self.inputs.device.type == self.targets.device.type == "cpu":
            return self
        return Split(self.inputs.to("cpu"), self.targets.to("cpu"))

    def of_classes(self, classes: Sequence[int]) -> Split:
        """Return the examples of these classes, where targets are class ids."""
        if self.targets.ndim != 1:
            raise InputDataError("these targets are numbers: there are no classes to choose")
        return self.take(places_of_classes(self.targets, classes))


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def places_of_classes(ids: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the indices of the examples of some classes, ascending."""
    return torch.isin(ids, torch.tensor(classes, dtype=torch.int64)).nonzero().flatten()


@dataclass(frozen=True, eq=False)
class TargetData:
    """The dataset that is distilled, and its held-out parts. They lie on the CPU.

    Splits that were given on another device are copied once.

    Attributes:
        name: shown in reports.
        spec: facts that are declared to be public.
        train: what is distilled.
        test: what reports are measured on, or None.
        validation: for choosing settings, cut from the training split; or None.
    """

    name: str
    spec: Spec
    train: Split
    test: Split | None = None
    validation: Split | None = None

    def __post_init__(self) -> None:
        for part in ("train", "test", "validation"):
            split = getattr(self, part)
            if split is not None:
                object.__setattr__(self, part, split.on_cpu())
        if not len(self.train):
            raise InputDataError(f"{self.name}: the training split is empty")
        for title, split in (("training", self.train), ("test", self.test), ("validation", self.validation)):
            if split is None:
                continue
            self.spec.check_inputs(split.inputs, title)
            if tuple(split.inputs.shape[1:]) != self.spec.input_shape:
                raise InputDataError(
                    f"{self.name}: {title} examples have shape {tuple(split.inputs.shape[1:])}, "
                    f"declared is {self.spec.input_shape}"
                )
            if (split.targets.ndim == 2) != self.spec.task.numeric:
                raise InputDataError(
                    f"{self.name}: {title} targets have shape {tuple(split.targets.shape)}, which is not what "
                    f"{self.spec.task.name} needs"
                )
            strangers = set(self.spec.task.class_ids(split.targets).unique().tolist()) - set(
                range(self.spec.num_classes)
            )
            if strangers:
                raise InputDataError(
                    f"{self.name}: {title} labels {sorted(strangers)[:5]} lie outside 0..{self.spec.num_classes - 1}; "
                    "ids begin at 0: renumber the labels, or declare num_classes"
                )

    def __repr__(self) -> str:
        return f"TargetData({self.name}: {self._facts()})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: sizes, and the number of training examples of classes."""
        counts = list(self.counts().items())
        rows = [(self.spec.name_of(class_id), str(count)) for class_id, count in counts[:MOST_CLASSES]]
        more = [(f"and {len(counts) - len(rows)} more", "")] if len(rows) < len(counts) else []
        title = "class" if not self.spec.task.numeric else self.spec.task.name
        return markup.card(self.name, self._facts(), markup.table((title, "training examples"), [*rows, *more]))

    def _facts(self) -> str:
        splits = (("training", self.train), ("validation", self.validation), ("test", self.test))
        sizes = ", ".join(f"{len(split)} {title}" for title, split in splits if split is not None)
        task = self.spec.task.name if self.spec.task.numeric else f"{len(self.spec.classes)} classes"
        return (
            f"{self.spec.modality}, {sizes} examples, {task}, {_sides(self.spec.input_shape)}, "
            f"normalisation {self.spec.normalisation.name}"
        )

    def counts(self) -> dict[int, int]:
        """Return the number of training examples of each class that the data has."""
        sizes = torch.bincount(self.class_ids(), minlength=self.spec.num_classes)
        return {c: int(sizes[c]) for c in self.spec.classes}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the training split and the declared facts."""
        digest = hashlib.sha256(repr((self.name, *self.spec.identity())).encode())
        digest.update(repr(self.spec.normalisation.describe()).encode())
        for tensor in (*tensors_of(self.train.inputs), *tensors_of(self.train.targets)):
            digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
            for part in lots(tensor):
                digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def with_train(self, indices: Tensor, name: str) -> TargetData:
        """Return the same data with only these training examples.

        Its classes are those still present. Class ids stay those of the whole.
        """
        train = self.train.take(indices)
        present = tuple(sorted(self.spec.task.class_ids(train.targets).unique().tolist()))
        read = tuple(dict.fromkeys((*self.spec.read_from_examples, "classes")))
        return replace(self, name=name, spec=replace(self.spec, classes=present, read_from_examples=read), train=train)

    def of_classes(self, classes: Sequence[int]) -> TargetData:
        """Return all splits with only these classes.

        Class ids and normalisation stay those of the whole.
        """
        absent = set(classes) - set(self.spec.classes)
        if absent or not classes:
            raise InputDataError(f"classes {sorted(absent)} are not in {self.name}, which has {self.spec.classes}")
        return TargetData(
            name=f"{self.name}[{','.join(map(str, sorted(classes)))}]",
            spec=replace(self.spec, classes=tuple(sorted(set(classes)))),
            train=self._members(self.train, classes),
            test=self._members(self.test, classes) if self.test else None,
            validation=self._members(self.validation, classes) if self.validation else None,
        )

    def _members(self, split: Split, classes: Sequence[int]) -> Split:
        return split.take(places_of_classes(self.spec.task.class_ids(split.targets), classes))

    def class_ids(self) -> Tensor:
        """Return the class id of every training example."""
        return self.spec.task.class_ids(self.train.targets)

    def with_validation(self, fraction: float, seed: int = 0, by: str = "draw") -> TargetData:
        """Return the same data with a validation split of this fraction of the training examples.

        Args:
            fraction: inside (0, 1).
            seed: of the split.
            by: ``draw`` or ``content``; see `split_in_two`.
        """
        if self.validation is not None:
            raise InputDataError(f"{self.name} has a validation split already")
        kept, carved = split_in_two(self.train, self.class_ids(), fraction, seed, by)
        read = self.spec.read_from_examples if by == "content" else (*self.spec.read_from_examples, "split")
        spec = replace(self.spec, read_from_examples=tuple(dict.fromkeys(read)))
        return replace(self, spec=spec, train=self.train.take(kept), validation=self.train.take(carved))


SPLITTING = ("draw", "content")


def split_in_two(split: Split, class_ids: Tensor, fraction: float, seed: int, by: str) -> tuple[Tensor, Tensor]:
    """Return the indices of two parts of a split; the second gets this fraction of it.

    Args:
        split: what is cut.
        class_ids: of its examples.
        fraction: inside (0, 1).
        seed: of the cut.
        by: ``draw``: a permutation of every class (`stratified_split`). One example more moves
            others, so a private run must not rest on it. ``content``: each example goes where a
            keyed hash of itself says, whatever the others are (`content_split`).
    """
    if by not in SPLITTING:
        raise UnknownNameError("way to split", by, SPLITTING)
    return stratified_split(class_ids, fraction, seed) if by == "draw" else content_split(split, fraction, seed)


def content_split(split: Split, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split examples by a hash of ``seed`` and of each example's own bytes.

    About ``fraction`` of them go to the second part. An example that comes or goes moves no other.

    Raises:
        BudgetError: ``fraction`` is not inside (0, 1).
    """
    if not 0 < fraction < 1:
        raise BudgetError(f"a split's fraction must lie inside (0, 1), not {fraction}")
    below, key = int(fraction * 2**64), f"content-split/{seed}/".encode()
    second = [int.from_bytes(digest[:8], "little") < below for digest in example_digests(split, key)]
    in_second = torch.tensor(second, dtype=torch.bool)
    return (~in_second).nonzero().flatten(), in_second.nonzero().flatten()


def example_digests(split: Split, key: bytes = b"") -> list[bytes]:
    """Return the SHA-256 of ``key`` and the bytes of each example, its target included.

    Raises:
        UnsupportedError: an example is not its own bytes, as on a graph.
    """
    if are_connected(split.inputs):
        raise UnsupportedError("connected examples have no bytes of their own: a split by content is not for them")
    rows = (row for part in lots(split.inputs) for row in part.contiguous().flatten(1).numpy())
    targets = split.targets.contiguous().view(len(split), -1).numpy()
    return [hashlib.sha256(key + y.tobytes() + x.tobytes()).digest() for x, y in zip(rows, targets, strict=True)]


def stratified_split(targets: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split the indices of examples into two parts, class by class.

    A class of n examples gives ``round(fraction * n)`` of them to the second part. Both parts get
    at least one example of every class.

    Returns:
        Two sorted index tensors that partition ``0 .. n - 1``.

    Raises:
        BudgetError: a class has fewer than two examples, or ``fraction`` is not inside (0, 1).
    """
    if not 0 < fraction < 1:
        raise BudgetError(f"a split's fraction must lie inside (0, 1), not {fraction}")
    random = generator(seed, "stratified-split")
    first, second = [], []
    for class_id in targets.unique().tolist():
        members = (targets == class_id).nonzero().flatten()
        if len(members) < 2:
            raise BudgetError(
                f"class {class_id} has one example: it cannot be in both parts of a split. "
                "Give it more, or give the test examples apart"
            )
        members = members[torch.randperm(len(members), generator=random)]
        size = min(max(round(fraction * len(members)), 1), len(members) - 1)
        second.append(members[:size])
        first.append(members[size:])
    return torch.cat(first).sort().values, torch.cat(second).sort().values
