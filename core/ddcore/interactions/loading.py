"""``load_interactions``: from a table, a file or a matrix to a `TargetData`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ddcore.data.frames import SPLITS, given_splits
from ddcore.errors import InputDataError, SettingsError, UnknownNameError
from ddcore.ground.randomness import derive_seed
from ddcore.interactions.ranking import Ranking
from ddcore.interactions.sources import frame_of
from ddcore.interactions.spec import InteractionSpec
from ddcore.parts import SparseRows, Spec, Split, TargetData

FEWEST = 3
ORDERS = ("random", "time")


def load_interactions(
    source: Any,
    *,
    name: str | None = None,
    least_rating: float | None = None,
    order: str = "random",
    at: tuple[int, ...] | None = None,
    like: Spec | None = None,
    seed: int = 0,
) -> TargetData:
    """Load implicit feedback: pairs of a user and an item.

    Of each user 80 % of the items are for training, 10 % for validation and 10 % for the test. A
    user with fewer than three items is left out. Where a user has few, the test comes first.

    Args:
        source: a DataFrame, or a ``.csv`` or ``.parquet`` file, with columns ``user`` and
            ``item``, and perhaps ``rating``, ``time``, and ``split`` with ``train``,
            ``validation`` and ``test``, which is then kept; MovieLens' zip; the ``.hdf5`` of
            Distill-CF's authors, with its ``index.npz`` beside it; or a sparse matrix, users x
            items, of scipy or torch.
        name: what reports call the data.
        least_rating: pairs with a lower rating do not count. None: all do.
        order: which of a user's pairs are held out: ``random`` ones, or the last by ``time``.
        at: lengths of the lists that are scored; default: 10 and 100, as far as there are so many
            items.
        like: facts of other such data, such as a summary's ``spec``. Items and their order are
            taken from there.
        seed: of the split.

    Raises:
        InputDataError: the pairs cannot be used as given: a pair comes twice, say.
    """
    if like is not None and not isinstance(like, InteractionSpec):
        raise InputDataError(f"like= is the spec of interactions, these facts are of {like.modality}")
    if order not in ORDERS:
        raise UnknownNameError("order", order, ORDERS)
    frame, found = frame_of(source)
    if least_rating is not None:
        if "rating" not in frame:
            raise SettingsError("least_rating= needs a column 'rating'")
        frame = frame[frame["rating"] >= least_rating]
    if order == "time" and "time" not in frame:
        raise SettingsError("order='time' needs a column 'time'")
    if not len(frame):
        raise InputDataError("there are no interactions")
    twice = frame.duplicated(["user", "item"])
    if twice.any():
        first = frame[twice].iloc[0]
        raise InputDataError(
            f"user {first['user']} has item {first['item']} twice ({int(twice.sum())} such pairs): merge them, as by "
            "frame.drop_duplicates(['user', 'item'])"
        )
    frame = frame[frame.groupby("user")["item"].transform("size") >= FEWEST]
    if not len(frame):
        raise InputDataError(f"no user has {FEWEST} interactions: one is trained on, one chosen by, one tested")
    items = _names(frame["item"]) if like is None else like.items
    number_of = {item: i for i, item in enumerate(items)}
    columns = frame["item"].astype(str).map(number_of)
    if columns.isna().any():
        raise InputDataError(f"item {frame['item'][columns.isna()].iloc[0]} is not among those of like=")
    users = torch.from_numpy(pd.factorize(frame["user"], sort=True)[0].astype(np.int64))
    columns = torch.tensor(columns.to_numpy(np.int64))
    given = given_splits(frame)
    split = torch.tensor(_drawn(users, frame, order, seed) if given is None else [SPLITS.index(s) for s in given])
    return _target(name or found, users, columns, split, items, _lengths(at, len(items), like), seed_made=given is None)


def _lengths(at: tuple[int, ...] | None, items: int, like: InteractionSpec | None) -> tuple[int, ...]:
    if at is None and like is not None:
        return like.task.at  # type: ignore[attr-defined, no-any-return]
    chosen = tuple(at) if at is not None else tuple(k for k in (10, 100) if k < items)
    if not chosen or max(chosen) > items:
        raise InputDataError(f"the catalogue has {items} items: lists of {at or 10} are too long, choose a smaller at=")
    return chosen


def _names(items: pd.Series) -> tuple[str, ...]:
    found = sorted(items.unique())
    names = tuple(str(item) for item in found)
    if len(set(names)) < len(names):
        raise InputDataError("two items have the same name as text")
    return names


def _drawn(users: Tensor, frame: pd.DataFrame, order: str, seed: int) -> np.ndarray:
    """Return the split of each pair: 0, 1 or 2. One pair of each user is tested at least."""
    random = np.random.default_rng(derive_seed(seed, "interactions"))
    key = frame["time"].to_numpy() if order == "time" else random.permutation(len(users))
    arranged = np.lexsort((key, users.numpy()))
    sizes = np.bincount(users.numpy())
    place = np.arange(len(users)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = np.repeat(sizes, sizes)
    # As in the authors' preparation the last pair is tested, and floors leave the rest to the test.
    train, held = np.floor(0.8 * size).astype(int) - 1, np.floor(0.9 * size).astype(int) - 1
    split = np.empty(len(users), dtype=np.int64)
    split[arranged] = np.where(place < train, 0, np.where(place < held, 1, 2))
    return split


def _target(
    name: str,
    users: Tensor,
    columns: Tensor,
    split: Tensor,
    items: tuple[str, ...],
    at: tuple[int, ...],
    seed_made: bool,
) -> TargetData:
    size = (int(users.max()) + 1, len(items))
    parts = [SparseRows.of_pairs(users[split == s], columns[split == s], size) for s in range(len(SPLITS))]
    train, validation, test = parts
    has = train.sizes() > 0
    known = SparseRows.of_pairs(users[split != 2], columns[split != 2], size)
    frequencies = train.column_sums()
    kept = train[has]
    spec = InteractionSpec(
        shape=(len(items),),
        num_classes=len(items),
        classes=(0,),
        task=Ranking(at, frequencies),
        items=items,
        mean_interactions=float(kept.sizes().double().mean()),
        read_from_examples=("items", "mean_interactions", *(("split",) if seed_made else ())),
    )
    rows = kept.as_inputs()
    return TargetData(name, spec, Split(rows, rows), _held(known, test, has), _held(train, validation, has))


def _held(context: SparseRows, wanted: SparseRows, has: Tensor) -> Split | None:
    """Return the users who have both a context and held-out items, or None if nobody has."""
    chosen = has & (wanted.sizes() > 0)
    return Split(context[chosen].as_inputs(), wanted[chosen].as_inputs()) if bool(chosen.any()) else None
