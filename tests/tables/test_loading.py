"""A table becomes inputs and targets; what cannot be used says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import ddcore as dd
from ddcore.errors import InputDataError, SettingsError, UnknownNameError
from ddcore.summary import original_bytes
from ddcore.tables import TableSpec, load_table


def spec_of(target: dd.TargetData) -> TableSpec:
    assert isinstance(target.spec, TableSpec)
    return target.spec


def test_inputs_are_those_of_sklearns_encoders(frame: pd.DataFrame) -> None:
    """Numbers are standardised over the training rows, categories one-hot in the order of names."""
    frame["split"] = np.where(np.arange(120) % 3 == 0, "test", "train")
    target = dd.load_data(frame, target="label")
    training = frame[frame["split"] == "train"]
    assert target.test is not None
    for rows, split in ((training, target.train), (frame[frame["split"] == "test"], target.test)):
        age = StandardScaler().fit(training[["age"]].to_numpy()).transform(rows[["age"]].to_numpy())
        texts = OneHotEncoder(sparse_output=False).fit(training[["city", "member"]].astype(str))
        wanted = np.concatenate([age, texts.transform(rows[["city", "member"]].astype(str))], axis=1)
        found = target.spec.normalisation.apply(split.inputs)
        assert found.shape == (len(rows), 6)
        assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float32), atol=1e-5)
        assert split.targets.tolist() == (rows["label"] == "yes").astype(int).tolist()
    assert target.spec.class_names == ("no", "yes")


def test_a_table_is_the_same_from_every_source(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "people.csv", index=False)
    frame.to_parquet(tmp_path / "people.parquet")
    from_frame = dd.load_data(frame, target="label", name="people")
    for file in ("people.csv", "people.parquet"):
        read = dd.load_data(tmp_path / file, target="label")
        assert read.fingerprint() == from_frame.fingerprint()
        assert read.test is not None and from_frame.test is not None
        assert torch.equal(read.test.inputs, from_frame.test.inputs)


def test_sklearns_sets_load_by_name_and_as_they_are() -> None:
    named, given = dd.load_data("wine"), dd.load_data(load_wine(), name="wine")
    assert named.fingerprint() == given.fingerprint()
    assert named.spec.class_names == ("class_0", "class_1", "class_2")
    assert sum(named.counts().values()) + len(named.test or ()) == 178
    data = load_breast_cancer()
    loaded = dd.load_data("breast-cancer")
    rows = {tuple(row) for row in data["data"].tolist()}
    assert {tuple(row) for row in loaded.train.inputs.tolist()} <= rows
    index = data["data"].tolist().index(loaded.train.inputs[0].tolist())
    assert loaded.spec.name_of(int(loaded.train.targets[0])) == data["target_names"][data["target"][index]]


def test_digits_are_images_unless_they_are_said_to_be_a_table() -> None:
    assert dd.load_data("digits").spec.shape == (1, 8, 8)
    assert dd.load_data("digits", modality="tables").spec.shape == (64,)


def test_a_number_is_predicted_in_standard_units() -> None:
    target, raw = dd.load_data("diabetes"), load_diabetes()["target"]
    assert target.spec.task.name == "regression"
    assert target.counts() == {0: len(target.train)}
    spec, task = spec_of(target), target.spec.task
    assert isinstance(task, dd.parts.Regression)
    assert float(target.train.targets.mean()) == pytest.approx(0, abs=1e-6)
    assert float(target.train.targets.std(correction=0)) == pytest.approx(1, abs=1e-6)
    given_back = target.train.targets[:, 0].double() * task.scale + spec.target_mean
    assert set(given_back.round().tolist()) <= set(raw.tolist())


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 2], "classification"),
        ([1.0, 2.0, 3.0], "classification"),
        (list(range(21)), "regression"),
        ([0.5, 1.5], "regression"),
        (["a", "b"], "classification"),
        ([True, False], "classification"),
    ],
)
def test_the_target_says_the_task(values: list[object], task: str) -> None:
    repeated = values * 8
    frame = pd.DataFrame({"x": np.arange(len(repeated), dtype=float), "y": repeated})
    assert load_table(frame, target="y").spec.task.name == task


def test_a_column_split_is_honoured_and_none_is_drawn(frame: pd.DataFrame) -> None:
    frame["split"] = ["train"] * 80 + ["validation"] * 15 + ["test"] * 25
    target = load_table(frame, target="label")
    assert target.validation is not None and target.test is not None
    assert (len(target.train), len(target.validation), len(target.test)) == (80, 15, 25)
    assert target.train.inputs[:, 0].tolist() == frame["age"].tolist()[:80]
    assert target.test.inputs[:, 0].tolist() == frame["age"].tolist()[95:]
    assert "split" not in [column.name for column in spec_of(target).columns]


def test_without_it_splits_are_stratified_and_repeatable(frame: pd.DataFrame) -> None:
    first, again = (load_table(frame, target="label", validation=0.25) for _ in range(2))
    assert first.fingerprint() == again.fingerprint()
    other = load_table(frame, target="label", validation=0.25, seed=1)
    assert other.fingerprint() != first.fingerprint()
    whole = frame["label"].value_counts()
    assert first.test is not None and first.validation is not None
    for c, name in enumerate(first.spec.class_names):
        held_out = int((first.test.targets == c).sum())
        assert held_out == round(0.2 * whole[name])
        assert int((first.validation.targets == c).sum()) == round(0.25 * (whole[name] - held_out))


def test_data_like_a_summarys_have_its_columns_scaling_and_classes(frame: pd.DataFrame) -> None:
    spec = spec_of(load_table(frame, target="label"))
    later = frame[frame["city"] != "Rome"].sample(frac=1, random_state=1)[["label", "member", "city", "age"]]
    target = dd.load_data(later, like=spec)
    assert target.spec.normalisation == spec.normalisation
    assert spec_of(target).columns == spec.columns
    assert float(target.train.inputs[:, 1 + spec.columns[1].categories.index("Rome")].sum()) == 0
    unknown = later.assign(city="Paris")
    assert dd.load_data(unknown, like=spec).train.inputs[:, 1:4].sum() == 0
    with pytest.raises(InputDataError, match="no column 'age'"):
        dd.load_data(later.drop(columns=["age"]), like=spec)
    with pytest.raises(InputDataError, match="'perhaps', which is not among the classes no, yes"):
        dd.load_data(later.assign(label="perhaps"), like=spec)


def test_what_was_declared_is_told_from_what_was_read(frame: pd.DataFrame) -> None:
    read = ("classes", "normalisation", "columns", "split")
    assert load_table(frame, target="label").spec.read_from_examples == read
    declared = load_table(frame, target="label", class_names=["no", "yes"])
    assert declared.spec.read_from_examples == ("normalisation", "columns", "split")
    assert dd.load_data(frame, like=declared.spec).spec.read_from_examples == ("split",)
    given = frame.assign(split=["train"] * 100 + ["test"] * 20)
    assert dd.load_data(given, like=declared.spec).spec.read_from_examples == ()
    # Which of the declared classes the rows have is read from the rows.
    more = load_table(frame, target="label", class_names=["no", "yes", "perhaps"])
    assert more.spec.num_classes == 3 and more.spec.classes == (0, 1)
    assert more.spec.read_from_examples == read
    assert dd.load_data(given, like=more.spec).spec.read_from_examples == ("classes",)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda f: f.assign(age=f["age"].where(f["age"] > 30)), {}, InputDataError, r"missing in age \(\d+\).*fillna"),
        (lambda f: f.assign(age=np.inf), {}, InputDataError, "'age' holds infinity"),
        (lambda f: f, {"target": "nothing"}, UnknownNameError, "unknown column 'nothing'"),
        (lambda f: f, {"target": None}, InputDataError, "target= is one of age, city"),
        (lambda f: f, {"task": "ranking"}, UnknownNameError, "unknown task 'ranking'"),
        (lambda f: f, {"task": "regression"}, InputDataError, "no number to predict"),
        (lambda f: f, {"target": "age", "task": "classification"}, InputDataError, "not whole"),
        (lambda f: f[:0], {}, InputDataError, "no rows"),
        (lambda f: f.assign(split="dev"), {}, InputDataError, "holds 'dev': allowed are train"),
        (lambda f: f.assign(split="test"), {}, InputDataError, "no row has 'split' train"),
        (lambda f: f.assign(born=pd.Timestamp("2000-01-01")), {}, InputDataError, "'born' holds times"),
        (lambda f: pd.concat([f, f[["age"]]], axis=1), {}, InputDataError, "two columns are named 'age'"),
        (lambda f: f, {"class_names": ["no"]}, InputDataError, "not among the classes no"),
        (lambda f: f[["label"]], {}, InputDataError, "no column but the one that is predicted"),
        (lambda f: f.assign(age=1e31), {}, InputDataError, "'age' holds infinity or numbers beyond 1e"),
        (lambda f: f.assign(age=1j), {}, InputDataError, "'age' holds complex numbers"),
        (lambda f: f.assign(born=pd.Period("2000")), {}, InputDataError, "'born' holds times"),
        (lambda f: f.assign(city="x" * 300), {}, InputDataError, "column 'city' has a name that a summary cannot keep"),
        (lambda f: f.assign(label="p\nx"), {}, SettingsError, "is no name: printable text"),
        (lambda f: f.assign(label=[np.inf, 1.0] * 60), {}, InputDataError, "label holds infinity"),
        (lambda f: f, {"class_names": ["no", "yes", "yes"]}, InputDataError, "names a class twice"),
        (lambda f: f, {"size": 8}, SettingsError, "tables are loaded without 'size': choose of target, task"),
    ],
)
def test_bad_tables_are_refused_with_the_reason(
    frame: pd.DataFrame,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    options: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        dd.load_data(change(frame), **({"target": "label"} | options))


def test_like_takes_no_words_that_contradict_it(frame: pd.DataFrame) -> None:
    spec = load_table(frame, target="label").spec
    for words in ({"task": "classification"}, {"class_names": ["no", "yes"]}):
        with pytest.raises(SettingsError, match="like= says the task and the classes already"):
            load_table(frame, like=spec, **words)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="like= predicts 'label', target= is 'city'"):
        load_table(frame, like=spec, target="city")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((np.zeros((4, 2)), np.zeros((4, 2))), r"4 rows need one target each, not an array of shape \(4, 2\)"),
        ((np.zeros((4, 2)), np.zeros(3)), r"4 rows need one target each, not an array of shape \(3,\)"),
        ((np.zeros((4, 2)), np.zeros(4), np.zeros((4, 3)), np.zeros(4)), "differ in their number of columns"),
        ({"data": np.zeros((4, 2, 2)), "target": np.zeros(4)}, "dense array n x d"),
        ({"data": np.zeros((4, 1)), "target": np.zeros(4), "feature_names": ["target"]}, "a feature.*named 'target'"),
    ],
)
def test_arrays_that_do_not_fit_say_so(source: object, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        dd.load_data(source)


def test_numbers_among_objects_are_numbers_and_columns_may_be_named_by_numbers() -> None:
    rows = np.array([[1.5 * i, "ab"[i % 2]] for i in range(30)], dtype=object)
    target = load_table(pd.DataFrame(rows).assign(y=[0, 1] * 15), target="y")
    assert [column.categories for column in spec_of(target).columns] == [(), ("a", "b")]
    assert load_table(pd.DataFrame({4: [0.0, 1.0] * 15, 5: [0, 1] * 15}), target=5).spec.shape == (1,)  # type: ignore[arg-type]
    grown = torch.zeros(20, 2, requires_grad=True)
    assert load_table((grown, torch.tensor([0, 1] * 10))).spec.shape == (2,)


def test_scaling_does_not_depend_on_threads_or_units() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(100_000, 1)), random.normal(size=100_000)
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(load_table((x, y)).fingerprint())
    torch.set_num_threads(before)
    assert found[0] == found[1]
    farads = load_table((1e-12 + 1e-13 * x[:60], y[:60]))
    scaled = farads.spec.normalisation.apply(farads.train.inputs)
    assert float(scaled.std(correction=0)) == pytest.approx(1, abs=1e-5)
    constant = load_table((x[:60], np.full(60, 0.1)), task="regression").spec.task
    assert constant == dd.parts.Regression(1.0)


def test_a_column_of_identifiers_is_refused() -> None:
    frame = pd.DataFrame({"id": [f"n{i}" for i in range(1500)], "y": [0, 1] * 750})
    with pytest.raises(InputDataError, match=r"1200 different texts.*drop it"):
        load_table(frame, target="y")


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('x,y\n1,2\n"open')
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    for name in ("a.csv", "a.parquet", "absent.csv"):
        with pytest.raises(InputDataError):
            dd.load_data(tmp_path / name, target="y")


def test_a_set_that_was_not_fetched_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(
        InputDataError, match=r"covtype is not in .*: fetch it once with sklearn.datasets.fetch_covtype"
    ):
        dd.load_data("covertype", root=tmp_path)


def test_the_bytes_of_a_table_are_a_number_or_a_category_a_cell(frame: pd.DataFrame) -> None:
    target = load_table(frame, target="label")
    assert target.spec.example_bytes() == 4 + 1 + 1  # age, city, member
    assert original_bytes(target.spec, 10) == 10 * (6 + 1)
    assert original_bytes(dd.load_data("diabetes").spec, 10) == 10 * (10 * 4 + 4)


def test_large_numbers_keep_their_differences() -> None:
    """Seconds since 1970 differ in digits that single precision does not have."""
    frame = pd.DataFrame({"time": 1.7e9 + np.arange(60), "y": [0, 1] * 30})
    target = load_table(frame, target="y")
    scaled = target.spec.normalisation.apply(target.train.inputs)[:, 0]
    assert len(scaled.unique()) == len(target.train)
    assert float(scaled.std(correction=0)) == pytest.approx(1, abs=1e-5)
