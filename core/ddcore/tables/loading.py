"""``load_table``: from a name, a file, a DataFrame or arrays to a `TargetData`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ddcore.data.frames import READERS, SPLIT, given_splits, read_frame, rows_by_split, splits_of
from ddcore.data.hugging_face import class_column, class_names_in, frame_of_dataset, is_hugging_face
from ddcore.data.root import data_root
from ddcore.errors import InputDataError, Setting, SettingsError, UnknownNameError
from ddcore.parts import Regression, Spec, Split, TargetData
from ddcore.tables import sources
from ddcore.tables.answers import class_ids_of, class_names_of, numbers_of, task_of
from ddcore.tables.columns import Scaling, mean_and_deviation
from ddcore.tables.encoding import as_frame, columns_of, encoded, refuse_missing
from ddcore.tables.spec import TableSpec


def load_table(
    source: Any,
    *,
    target: str | None = None,
    task: str | None = None,
    name: str | None = None,
    validation: float = 0.0,
    class_names: Sequence[str] | None = None,
    like: Spec | None = None,
    root: str | Path | None = None,
    seed: int = 0,
) -> TargetData:
    """Load a table.

    Numbers are standardised over the training rows. Texts, truth values and pandas' categories
    become one-hot inputs. A category that no training row has becomes zeros.

    Args:
        source: a name (``breast-cancer``, ``wine``, ``iris``, ``digits``, ``diabetes``,
            ``covertype``, ``california-housing``), the path of a ``.csv`` or ``.parquet`` file, a
            pandas ``DataFrame``, a ``datasets.Dataset`` or a dictionary of some by split, what
            scikit-learn's loaders return, or arrays ``(x, y)`` or
            ``(x_train, y_train, x_test, y_test)``. A column ``split`` with ``train``, ``test`` and
            perhaps ``validation`` gives the splits. Without it a fifth of the rows becomes the
            test split.
        target: the column that is predicted. It is known of scikit-learn's sets, of arrays, and of
            a ``datasets.Dataset`` with one ``ClassLabel``.
        task: ``classification`` or ``regression``. By default the target tells it: texts are
            classes, and so are up to 20 different whole numbers.
        name: what reports call the data; default: the name or the file's stem.
        validation: share of the training rows that becomes the validation split, if there is none.
        class_names: the declared classes, as texts; default: those among all rows.
        like: facts of other such data, such as a summary's ``spec``. Columns, categories, scaling
            and classes are taken from there.
        root: where fetched sets are kept; default: the variable ``DDCORE_DATA``, else
            ``~/.cache/ddcore``.
        seed: of the splits that are drawn here.

    Raises:
        UnknownNameError: there is no such name, path, column or task.
        InputDataError: the table cannot be used as given, since a value is missing, say.
    """
    if like is not None and not isinstance(like, TableSpec):
        raise InputDataError(f"like= is the spec of a table, these facts are of {like.modality}")
    if like is not None and (task is not None or class_names is not None):
        raise SettingsError("like= says the task and the classes already: leave task= and class_names= out")
    frame, found_name, found_target = _frame(source, root)
    given = given_splits(frame)
    frame = frame.drop(columns=[SPLIT], errors="ignore")
    target = _target_of(frame, target, found_target if like is None else like.target)
    if like is not None and target != like.target:
        raise SettingsError(f"like= predicts {like.target!r}, target= is {target!r}")
    refuse_missing(frame)
    inputs, answers = frame.drop(columns=[target]), frame[target]
    kind = task_of(answers, task) if like is None else like.task
    wanted = like.class_names if like is not None else class_names or class_names_in(source, target)
    names = () if kind.numeric else class_names_of(answers, wanted)
    targets = numbers_of(answers) if kind.numeric else class_ids_of(answers, names)
    groups = kind.class_ids(targets)
    split, drawn = splits_of(given, groups, validation, seed)
    training = torch.from_numpy(split == "train")
    columns = columns_of(inputs[split == "train"]) if like is None else like.columns
    rows = encoded(inputs, columns)
    mean = 0.0
    if like is not None:
        kind, mean, scaling = like.task, like.target_mean, like.normalisation
    else:
        scaling = Scaling.fit(rows[training], columns)
        if kind.numeric:
            mean, scale = mean_and_deviation(targets[training].numpy())
            kind = Regression(scale)
    if isinstance(kind, Regression):
        targets = ((targets - mean) / kind.scale).float()
    present = tuple(groups[training].unique().tolist())
    # Classes are declared if their names were and each of them is there, as with images.
    declared = kind.numeric or ((like is not None or class_names is not None) and len(present) == len(names))
    fitted = (*(() if like is not None else ("normalisation", "columns")), *(("split",) if drawn else ()))
    spec = TableSpec(
        shape=tuple(rows.shape[1:]),
        num_classes=len(names) or 1,
        classes=present,
        class_names=names,
        normalisation=scaling,
        task=kind,
        read_from_examples=fitted if declared else ("classes", *fitted),
        columns=columns,
        target=target,
        target_mean=mean,
    )
    parts = {part: Split(rows[i], targets[i]) if len(i) else None for part, i in rows_by_split(split).items()}
    assert parts["train"] is not None
    return TargetData(name or found_name, spec, parts["train"], parts["test"], parts["validation"])


def _target_of(frame: pd.DataFrame, given: str | None, known: str | None) -> str:
    """Return the name of the column that is predicted."""
    target = known if given is None else str(given)
    if target is None:
        raise InputDataError("which column is predicted? ", Setting("target"), f" is one of {', '.join(frame.columns)}")
    if target not in frame.columns:
        raise UnknownNameError("column", target, frame.columns)
    return target


def _frame(source: Any, root: str | Path | None) -> tuple[pd.DataFrame, str, str | None]:
    """Return a table, a name for it, and the name of its target if that is known."""
    if isinstance(source, pd.DataFrame):
        return as_frame(source), "table", None
    if isinstance(source, str | Path):
        path = Path(source)
        if str(source) in sources.NAMED:
            bunch = sources.NAMED[str(source)](data_root(root))
            return as_frame(sources.frame_of_bunch(bunch)), str(source), "target"
        if path.suffix in READERS:
            return as_frame(read_frame(path)), path.stem, None
        raise UnknownNameError("table", str(source), (*sources.NAMED, "path/to/file.csv", "path/to/file.parquet"))
    if is_hugging_face(source):
        return as_frame(frame_of_dataset(source)), "table", class_column(source)
    if sources.is_bunch(source):
        return as_frame(sources.frame_of_bunch(source)), "table", "target"
    if isinstance(source, tuple) and len(source) in (2, 4):
        return as_frame(sources.frame_of_arrays(source)), "arrays", "target"
    raise InputDataError(
        f"cannot read a table from {type(source).__name__}: give a name, a .csv or .parquet file, a DataFrame, a "
        "datasets.Dataset, what scikit-learn's loaders return, or arrays (x, y)"
    )
