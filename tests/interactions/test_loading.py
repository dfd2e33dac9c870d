"""Interactions from every source, their splits, and what cannot be used."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import ddcore as dd
from ddcore.errors import BudgetError, DistillationError, InputDataError, MissingExtraError, SettingsError
from ddcore.interactions import flip_interactions, sample_interactions
from ddcore.parts import as_dense
from tests.interactions.data import ITEMS, USERS, pairs, tastes


def matrix(frame: pd.DataFrame) -> sp.csr_matrix:
    return sp.csr_matrix((frame["rating"], (frame["user"], frame["item"])), shape=(USERS, ITEMS))


def movielens(frame: pd.DataFrame, path: Path, member: str = "ml/ratings.csv") -> Path:
    named = frame.rename(columns={"user": "userId", "item": "movieId", "time": "timestamp"})
    with zipfile.ZipFile(path, "w") as archive:
        if member.endswith(".dat"):
            rows = frame[["user", "item", "rating", "time"]].astype(str)
            archive.writestr(member, "\n".join("::".join(row) for row in rows.to_numpy()))
        else:
            archive.writestr(member, named.to_csv(index=False))
    return path


def hdf5(frame: pd.DataFrame, folder: Path) -> Path:
    import h5py

    folder.mkdir()
    with h5py.File(folder / "total_data.hdf5", "w") as file:
        for name in ("user", "item", "rating"):
            file[name] = frame[name].to_numpy()
    return folder / "total_data.hdf5"


def test_every_source_gives_the_same_users(tmp_path: Path) -> None:
    frame = pairs()
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    frame.to_parquet(tmp_path / "pairs.parquet")
    sources: list[Any] = [
        tmp_path / "pairs.csv",
        str(tmp_path / "pairs.parquet"),
        movielens(frame, tmp_path / "ml.zip"),
        movielens(frame, tmp_path / "ml-1m.zip", "ml-1m/ratings.dat"),
        hdf5(frame, tmp_path / "ml-h5"),
    ]
    wanted = dd.load_data(frame, name="the same").fingerprint()
    for source in sources:
        assert dd.load_data(source, name="the same").fingerprint() == wanted, source
    # A matrix has its pairs in another order, so another split. All pairs together are the same.
    sparse = matrix(frame)
    torch_sparse = torch.sparse_coo_tensor(np.array(sparse.nonzero()), sparse.data, sparse.shape, check_invariants=True)
    for source in (sparse, sparse.tocoo(), torch_sparse):
        target = dd.load_data(source)
        assert target.test is not None
        whole = as_dense(target.test.inputs) + as_dense(target.test.targets)
        assert np.array_equal(whole.numpy(), (sparse.toarray() > 0).astype(np.float32))


def test_of_each_user_eight_tenths_are_for_training() -> None:
    target = tastes()
    assert target.validation is not None and target.test is not None
    assert len(target.train) == len(target.validation) == len(target.test) == USERS
    train, test = as_dense(target.train.inputs), as_dense(target.test.targets)
    held = as_dense(target.validation.targets)
    assert (train.sum(dim=1) == 7).all() and (held.sum(dim=1) == 1).all() and (test.sum(dim=1) == 2).all()
    assert torch.equal(as_dense(target.validation.inputs), train)
    assert torch.equal(as_dense(target.test.inputs), train + held)
    assert not bool((train * held + train * test + held * test).any())
    assert not torch.equal(as_dense(dd.load_data(pairs(), seed=1).train.inputs), train)
    assert target.spec.mean_interactions == 7


def test_the_last_by_time_can_be_held_out() -> None:
    frame = pairs()
    target = dd.load_data(frame, order="time", at=(5,))
    assert target.test is not None
    for user in range(USERS):
        mine = frame[frame["user"] == user].sort_values("time")
        last = {str(item) for item in mine["item"].tail(2)}
        held = {target.spec.items[i] for i in as_dense(target.test.targets)[user].nonzero().flatten().tolist()}  # type: ignore[attr-defined]
        assert held == last


def test_a_given_split_is_kept_and_ids_may_be_texts() -> None:
    frame = pairs().astype({"user": str, "item": str})
    frame["item"] = "film " + frame["item"]
    frame["split"] = np.resize(["train"] * 6 + ["validation"] * 2 + ["test"] * 2, len(frame))
    target = dd.load_data(frame, at=(5,))
    assert target.test is not None
    assert (as_dense(target.train.inputs).sum(dim=1) == 6).all() and (
        as_dense(target.test.targets).sum(dim=1) == 2
    ).all()
    assert target.spec.items[0].startswith("film ")  # type: ignore[attr-defined]
    assert "split" not in target.spec.read_from_examples


def test_users_with_too_few_pairs_and_low_ratings_are_left_out() -> None:
    frame = pd.concat([pairs(), pd.DataFrame({"user": [900, 900], "item": [1, 2], "rating": 5.0, "time": 0})])
    assert len(dd.load_data(frame, at=(5,)).train) == USERS
    kept = dd.load_data(frame, at=(5,), least_rating=4)
    interactions = as_dense(kept.test.inputs).sum() + as_dense(kept.test.targets).sum()  # type: ignore[union-attr]
    enough = frame[frame["rating"] >= 4].groupby("user")["item"].transform("size") >= 3
    assert int(interactions) == int(enough.sum())


def test_like_takes_the_items_from_a_summary() -> None:
    target = tastes()
    half = dd.load_data(pairs()[pairs()["item"] < 20], like=target.spec)
    assert half.spec.items == target.spec.items and half.spec.task == target.spec.task  # type: ignore[attr-defined]
    strange = pairs()
    strange.loc[0, "item"] = 999
    with pytest.raises(InputDataError, match="item 999 is not among those of like="):
        dd.load_data(strange, like=target.spec)


BAD: list[tuple[Any, dict[str, Any], type[DistillationError], str]] = [
    (pairs().drop(columns="item"), {"modality": "interactions"}, InputDataError, "need columns 'user' and 'item'"),
    (pairs().iloc[:0], {}, InputDataError, "there are no interactions"),
    (pairs().assign(item="x" * 201 + pairs()["item"].astype(str)), {}, SettingsError, "at most 200 characters"),
    (pd.concat([pairs(), pairs().iloc[:3]]), {}, InputDataError, r"twice \(3 such pairs\)"),
    (pairs().assign(item=np.nan), {}, InputDataError, "values are missing in 'item'"),
    (pairs().drop_duplicates("user"), {}, InputDataError, "no user has 3 interactions"),
    (pairs(), {"at": (41,)}, InputDataError, "the catalogue has 40 items"),
    (pairs()[pairs()["item"] < 9], {}, InputDataError, "choose a smaller at="),
    (pairs().assign(split="later"), {}, InputDataError, "holds 'later'"),
    (pairs().assign(split="test"), {}, InputDataError, "no row has 'split' train"),
    (pairs().drop(columns="time"), {"order": "time"}, SettingsError, "needs a column 'time'"),
    (pairs().drop(columns="rating"), {"least_rating": 3}, SettingsError, "needs a column 'rating'"),
    (pairs(), {"order": "backwards"}, DistillationError, "backwards"),
    (matrix(pairs()) * np.nan, {}, InputDataError, "NaN or infinity"),
    (sp.csr_matrix((5, 8)), {}, InputDataError, "there are no interactions"),
    ("nowhere.hdf5", {}, InputDataError, "no such file or folder"),
]


@pytest.mark.parametrize(("source", "options", "error", "said"), BAD)
def test_what_cannot_be_used_is_said(
    source: Any, options: dict[str, Any], error: type[DistillationError], said: str
) -> None:
    with pytest.raises(error, match=said):
        dd.load_data(source, **options)


def test_broken_files_are_said(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    (tmp_path / "broken.hdf5").write_bytes(b"no hdf5")
    with pytest.raises(InputDataError, match="cannot be read: "):
        dd.load_data(tmp_path / "broken.zip", modality="interactions")
    with pytest.raises(InputDataError, match="cannot be read: "):
        dd.load_data(tmp_path / "broken.hdf5")
    path = hdf5(pairs(), tmp_path / "short")
    np.savez(path.parent / "index.npz", data=np.zeros(3))
    with pytest.raises(InputDataError, match="splits 3 pairs"):
        dd.load_data(path)


def test_without_h5py_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hdf5(pairs(), tmp_path / "h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="h5py"):
        dd.load_data(path)


def test_the_authors_index_tells_the_splits(tmp_path: Path) -> None:
    frame = pairs()
    path = hdf5(frame, tmp_path / "h5")
    codes = np.resize([0, 0, 0, 0, 0, 1, 2, 2, -1, 0], len(frame))
    np.savez(path.parent / "index.npz", data=codes)
    target = dd.load_data(path, at=(5,))
    assert target.name == "h5" and target.test is not None
    assert int(as_dense(target.train.inputs).sum()) == int((codes == 0).sum())
    assert int(as_dense(target.test.targets).sum()) == int((codes == 2).sum())


def test_interactions_drawn_at_random_and_flipped_ones() -> None:
    target = tastes()
    fewer = sample_interactions(target, 100)
    before, after = as_dense(target.train.inputs), as_dense(fewer.train.inputs)
    assert int(after.sum()) == 100 and fewer.test is target.test
    assert all(any(bool((row <= old).all()) for old in before) for row in after)
    noisy = as_dense(flip_interactions(target, 0.5).train.inputs)
    assert torch.equal(noisy.sum(dim=1), before.sum(dim=1))
    assert 0.4 < float((noisy * before).sum() / before.sum()) < 0.6
    assert torch.equal(as_dense(flip_interactions(target, 0.0).train.inputs), before)
    with pytest.raises(BudgetError):
        sample_interactions(target, 10**6)
    with pytest.raises(BudgetError):
        flip_interactions(target, 1.5)
