"""What architectures are truly worth: trained on the full data here, or read from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import ddcore as dd
from ddapps.nas.correlation import MOST_RUNS, split_half_tau
from ddapps.nas.search_space import Candidate, SearchSpace
from ddcore.errors import InputDataError, SettingsError
from ddcore.evaluation import Protocol
from ddcore.ground import derive_seed
from ddcore.settings import require_counts
from ddcore.training import Training

Accuracies = np.ndarray[Any, np.dtype[np.float64]]
FULL = Protocol("full", Training(epochs=5, learning_rate=0.03, batch_size=64))
"""How a candidate is trained on the full data, unless said otherwise."""


@dataclass(frozen=True)
class Truth:
    """Accuracies after full training on two splits: one to report, one to choose by.

    Attributes:
        source: where they come from.
        accuracies: on the test split, candidates x runs, in percent; a run that failed is NaN.
        seconds: of one full training, per candidate; None where they were read.
        validation: as ``accuracies``, on the validation split; None where only the test split is
            known.
    """

    source: str
    accuracies: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...] | None = None
    validation: tuple[tuple[float, ...], ...] | None = None

    @property
    def means(self) -> list[float]:
        """Mean over runs on the test split, per candidate; NaN where one failed."""
        return [fmean(runs) for runs in self.accuracies]

    @property
    def validation_means(self) -> list[float] | None:
        """Mean over runs on the validation split, per candidate; None where it is not known."""
        return None if self.validation is None else [fmean(runs) for runs in self.validation]

    def of(self, kept: Sequence[int]) -> Truth:
        """Return the truth about some of the candidates."""
        seconds = None if self.seconds is None else tuple(self.seconds[index] for index in kept)
        validation = None if self.validation is None else tuple(self.validation[index] for index in kept)
        return Truth(self.source, tuple(self.accuracies[index] for index in kept), seconds, validation)

    def ceiling_tau(self) -> float | None:
        """Return the mean tau between two halves of the runs (`split_half_tau`).

        It is None for one run, or for more than are halved.
        """
        return split_half_tau(self.accuracies) if len(self.accuracies[0]) <= MOST_RUNS else None


@dataclass(frozen=True)
class Table:
    """Accuracies that a user supplies.

    Attributes:
        source: name of the file, without its folder.
        candidates: architectures of a space.
        accuracies: on the test split, candidates x runs, in percent.
        classes: equal numbers mark architectures that compute the same.
        validation: as ``accuracies``, on a validation split; None where the table has none.
    """

    source: str
    candidates: tuple[Candidate, ...]
    accuracies: Accuracies
    classes: np.ndarray[Any, np.dtype[np.int64]]
    validation: Accuracies | None = None

    def sample(self, count: int, seed: int = 0) -> tuple[tuple[Candidate, ...], Truth]:
        """Return different architectures and the truth about them, drawn with equal chance.

        The chance is that of a class of architectures that compute the same.

        Raises:
            SettingsError: the table has fewer.
        """
        require_counts(sample=count)
        random = np.random.default_rng(derive_seed(seed, "table"))
        different = np.unique(self.classes)
        if count > len(different):
            raise SettingsError(
                f"{self.source} has {len(different)} different architectures: {count} cannot be drawn from it"
            )
        drawn = random.choice(different, count, replace=False)
        rows = [int(random.choice(np.flatnonzero(self.classes == number))) for number in drawn]
        validation = None if self.validation is None else _of_rows(self.validation, rows)
        truth = Truth(self.source, _of_rows(self.accuracies, rows), validation=validation)
        return tuple(self.candidates[row] for row in rows), truth

    def others(self, count: int, seed: int, than: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], list[float]]:
        """Return architectures of other classes than some, and the mean accuracy of each.

        It is on the validation split where the table knows that one, else on the test split: of
        architectures that are not ranked.

        Raises:
            SettingsError: the table has too few.
        """
        place = {candidate: row for row, candidate in enumerate(self.candidates)}
        taken = {int(self.classes[place[candidate]]) for candidate in than}
        free = [number for number in np.unique(self.classes) if int(number) not in taken]
        if count > len(free):
            raise SettingsError(
                f"{self.source} has {len(free)} architectures that differ from the {len(than)} that are ranked: {count} "
                "cannot be drawn from it"
            )
        random = np.random.default_rng(derive_seed(seed, "others"))
        drawn = random.choice(np.array(free), count, replace=False)
        rows = [int(random.choice(np.flatnonzero(self.classes == number))) for number in drawn]
        known = self.accuracies if self.validation is None else self.validation
        return tuple(self.candidates[row] for row in rows), [float(known[row].mean()) for row in rows]


def _of_rows(accuracies: Accuracies, rows: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, accuracies[row])) for row in rows)


def load_table(path: str | Path, space: SearchSpace, data: str) -> Table:
    """Read a table of accuracies from a ``.npz`` file.

    It holds one array per choice of the space (``n`` values each, as text or numbers), and
    ``accuracy``: ``n``, or ``n`` x runs, in percent, on the test split. ``validation_accuracy`` may
    hold those on a validation split: without it, no proxy can be chosen but by what is reported.

    The layout of NAS-Bench-201 is read too: ``ops`` (``n`` x 6, places in ``op_names``),
    ``edge_order`` (``0->1``, ...), and ``test_acc`` (``n`` x data sets, whose names are
    ``datasets``). ``iso_class`` (``n``) may mark architectures that compute the same: one of each
    is drawn.

    Args:
        path: the file.
        space: whose architectures the rows are.
        data: name of the data set, which picks the column where there are several.

    Raises:
        InputDataError: the file is not such a table, or its architectures are not of the space.
    """
    path = Path(path)
    arrays = dd.images.read_npz(path)
    columns: dict[str, Sequence[Any]] = _columns(arrays, space, path)
    accuracies = _percent(lambda: _accuracies(arrays, data, path), path)
    validation = _percent(lambda: arrays["validation_accuracy"], path) if "validation_accuracy" in arrays else None
    rows = len(accuracies)
    marked = np.asarray(arrays.get("iso_class", np.arange(rows)))
    lengths = {len(column) for column in (*columns.values(), marked, *(() if validation is None else (validation,)))}
    if marked.ndim != 1 or lengths != {rows}:
        raise InputDataError(f"{path}: its columns must have one entry per architecture, and differ in length or shape")
    _, classes = np.unique(marked, return_inverse=True)
    candidates = []
    for row in range(rows):
        try:
            candidates.append(space.candidate({name: column[row] for name, column in columns.items()}))
        except SettingsError as error:
            raise InputDataError(f"{path}, row {row}: {error}") from error
    if len(set(candidates)) < rows:
        raise InputDataError(
            f"{path}: an architecture stands in several rows: give each one row, and accuracy as n x runs"
        )
    return Table(path.name, tuple(candidates), accuracies, classes.astype(np.int64), validation)


def _percent(read: Callable[[], Any], path: Path) -> Accuracies:
    """Return accuracies as architectures x runs, or raise `InputDataError`."""
    try:
        accuracies = np.asarray(read(), dtype=np.float64)
    except (IndexError, TypeError, ValueError) as error:
        raise InputDataError(f"{path}: its accuracies are no table of numbers: {error}") from error
    accuracies = accuracies[:, None] if accuracies.ndim == 1 else np.atleast_1d(accuracies)
    if accuracies.ndim != 2:
        raise InputDataError(f"{path}: its columns must have one entry per architecture, and differ in length or shape")
    if not accuracies.size or not np.isfinite(accuracies).all() or accuracies.min() < 0 or accuracies.max() > 100:
        raise InputDataError(f"{path}: accuracies must be percent, from 0 to 100")
    if accuracies.max() <= 1:
        raise InputDataError(
            f"{path}: accuracies must be percent, and the highest is {accuracies.max():g}: multiply them by 100"
        )
    return accuracies


def _columns(arrays: Mapping[str, Any], space: SearchSpace, path: Path) -> dict[str, Sequence[Any]]:
    """Return the values of each choice, row by row."""
    if "ops" in arrays:
        arrays = {**arrays, **_from_cells(arrays, path)}
    missing = [name for name in space.values() if name not in arrays]
    if missing:
        raise InputDataError(
            f"{path} has no column {missing[0]!r}, which {space.name} needs: its architectures are of another space, or "
            f"name the columns {', '.join(space.values())} and accuracy"
        )
    return {name: np.atleast_1d(arrays[name]).tolist() for name in space.values()}


def _from_cells(arrays: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return NAS-Bench-201's rows as columns named after the edges of a cell."""
    try:
        names = np.array([str(name).removeprefix("nor_") for name in arrays["op_names"]])
        if arrays["ops"].min() < 0:
            raise IndexError("ops has a negative place")
        edges = [str(edge).replace("->", "_") for edge in arrays["edge_order"]]
        return {f"cell/{edge}": names[arrays["ops"][:, place]] for place, edge in enumerate(edges)}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputDataError(f"{path}: ops, op_names and edge_order do not fit together: {error}") from error


def _accuracies(arrays: Mapping[str, Any], data: str, path: Path) -> Any:
    if "accuracy" in arrays:
        return arrays["accuracy"]
    if "test_acc" not in arrays or "datasets" not in arrays:
        raise InputDataError(f"{path} has no column 'accuracy', nor 'test_acc' with 'datasets'")
    known = [str(name) for name in arrays["datasets"]]
    if data not in known:
        raise InputDataError(f"{path} has accuracies on {', '.join(known)}, not on {data}")
    return arrays["test_acc"][:, known.index(data)]
