"""Every part that is no modality's works on tables, with classes and with numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans as Lloyd

import ddcore as dd
from ddcore.errors import InputDataError, UnknownNameError, UnsupportedError
from ddcore.kernels import AnalyticKernel
from ddcore.networks import MLP
from ddcore.parts import Classification, OneOf, Regression, Usual
from ddcore.tables import Rows, TableSpec
from ddcore.training import Protocol, Training
from tests.running import FOLLOWING, OF_IMAGES

SHORT = Protocol("short", Training(epochs=60, learning_rate=0.05))
ON_IMAGES = ("idc", "idc_i", "it_gan", "haba", "kfs", "linba", "gtn", "ncfm", "linear_gradient_matching")
ABOUT_CLASSES = ("cafe", "datm", "forgetting", "rcig", "rfad")


@pytest.fixture(scope="module")
def classes() -> dd.TargetData:
    """Two classes that a line between two blobs tells apart."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 150)
    x = random.normal(size=(150, 4)) + 3 * y[:, None] * np.array([1, 1, 0, 0])
    return dd.load_data((x, y), name="blobs")


@pytest.fixture(scope="module")
def numbers() -> dd.TargetData:
    """A number that is linear in the inputs."""
    random = np.random.default_rng(0)
    x = random.normal(size=(150, 4))
    return dd.load_data((x, 10 + x @ np.array([3.0, -2.0, 1.0, 0.0])), name="line")


def short(name: str, target: dd.TargetData, ipc: int = 3, steps: int = 3) -> dd.Method:
    method = dd.methods.build_method(name, ipc=ipc, preset="cpu", target=target)
    if method.matching is None:
        return method
    if hasattr(method.networks, "training"):
        small = {"networks.count": 1, "networks.length": 1, "networks.last_start": 1, "networks.training.epochs": 2}
        if name == "datm":
            small |= {"networks.last_start": 3, "networks.early_last_start": 2, "networks.training.epochs": 4}
        for path, value in small.items():
            method = dd.override(method, path, value)
    if hasattr(method.networks, "architecture"):
        method = method.on_networks(MLP(width=16, depth=1))
    return method.with_steps(steps)


@pytest.mark.parametrize("name", [n for n in OF_IMAGES if n not in (*ON_IMAGES, *FOLLOWING)])
def test_every_method_without_images_of_its_own_distils_classes(name: str, classes: dd.TargetData) -> None:
    summary = dd.distill(classes, short(name, classes))
    assert summary.parts[0].factorization.name == "rows"
    assert summary.counts == {0: 3, 1: 3}
    assert summary.record["method"]["preset"] == "custom"
    assert summary.record["method"]["augmentation"] == {"type": "NoAugmentation"}
    # The blobs lie four deviations apart. So one row of each class is enough, except that which
    # forgetting selects.
    best = dd.evaluate(summary, classes, networks="mlp(width=16)", protocol=SHORT, runs=1).results[0]
    assert best.mean > (60 if name == "forgetting" else 85), best


@pytest.mark.parametrize("name", [n for n in OF_IMAGES if n not in (*ON_IMAGES, *ABOUT_CLASSES, *FOLLOWING)])
def test_every_one_that_is_not_about_classes_distils_numbers(name: str, numbers: dd.TargetData) -> None:
    summary = dd.distill(numbers, short(name, numbers, ipc=20))
    assert summary.recipe.loss == "squared_error"
    assert summary.tensors()[1].shape == (20, 1)
    learned = dd.evaluate(summary, numbers, networks="mlp(width=16)", protocol=SHORT, runs=1).results[0]
    # The numbers of PSG start from noise, and DATM moves its own. Three steps do not make a line
    # of them.
    assert learned.score == "r2" and (learned.mean > 0.3 or name == "psg"), learned


@pytest.mark.parametrize("name", ABOUT_CLASSES)
def test_what_is_about_classes_says_so(name: str, numbers: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match="the targets here are numbers"):
        dd.distill(numbers, short(name, numbers))


@pytest.mark.parametrize("name", ON_IMAGES)
def test_what_makes_images_alone_says_so(name: str, classes: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match="makes images, the data are tables: store rows"):
        dd.methods.build_method(name, ipc=1, preset="cpu", target=classes)


def test_parts_of_images_are_refused_and_the_message_says_what_to_do(classes: dd.TargetData) -> None:
    method = dd.methods.dm(ipc=2, preset="cpu")
    with pytest.raises(UnsupportedError, match=r"Pixels is for images, the data are tables.*suited_to"):
        dd.distill(classes, method)
    with pytest.raises(UnsupportedError, match="ConvNet is for images"):
        dd.distill(classes, method.suited_to(classes.spec), networks="convnet")
    summary = dd.distill(classes, method.suited_to(classes.spec), steps=2)
    with pytest.raises(UnsupportedError, match="ConvNet is for images"):
        dd.evaluate(summary, classes, networks="convnet")


def test_matching_means_of_rows_brings_means_together(classes: dd.TargetData) -> None:
    """With the identity as features the loss is the distance of class means.

    Its minimum is known.
    """
    linear = torch.nn.Sequential(torch.nn.Linear(4, 2))
    method = dd.Method(
        Rows(ipc=2, init="noise"),
        dd.matching.DistributionMatching(real_batch=1000),
        dd.sources.FixedNetworks((linear,)),
        dd.Optimiser("sgd", learning_rate=0.5, momentum=0.0),
        steps=60,
    )
    inputs, targets = dd.distill(classes, method).tensors()
    real = classes.spec.normalisation.apply(classes.train.inputs)
    for c in (0, 1):
        wanted = real[classes.train.targets == c].mean(dim=0)
        assert torch.allclose(inputs[targets == c].mean(dim=0), wanted, atol=1e-4)


def test_kernel_regression_learns_a_line(numbers: dd.TargetData) -> None:
    """Learned numbers as labels: the loss falls, and beats selected rows."""
    method = dd.Method(
        Rows(ipc=8, labels="soft"),
        dd.matching.KernelRegression(AnalyticKernel(), ridge=1e-3),
        optimiser=dd.Optimiser("adam", learning_rate=0.03),
        steps=80,
    )
    summary, start = dd.distill(numbers, method), dd.distill(numbers, method, steps=0)
    assert not torch.equal(summary.tensors()[1], start.tensors()[1])
    scores = [dd.evaluate_kernel(s, numbers, ridge=1e-3).results[0].mean for s in (start, summary)]
    assert scores[1] > max(0.9, scores[0]), scores


def test_hard_numbers_stay_those_of_the_selected_rows(numbers: dd.TargetData) -> None:
    method = short("dsa", numbers, ipc=5)
    summary = dd.distill(numbers, method)
    assert not torch.equal(summary.tensors()[0], dd.distill(numbers, method, steps=0).tensors()[0])
    assert set(summary.tensors()[1][:, 0].tolist()) <= set(numbers.train.targets[:, 0].tolist())
    assert set(summary.parts[0].stored) == {"rows", "classes", "labels"}
    assert summary.stored_bytes == 5 * (4 * 4 + 1 + 4)
    assert dd.Budget.of(method, numbers).bytes == summary.stored_bytes


def test_k_means_takes_the_centres_that_sklearn_finds(classes: dd.TargetData, numbers: dd.TargetData) -> None:
    inputs, targets = dd.distill(classes, dd.methods.build_method("k_means", ipc=3, target=classes)).tensors()
    real = classes.spec.normalisation.apply(classes.train.inputs, torch.float64)
    for c in (0, 1):
        members = real[classes.train.targets == c]
        centres = inputs[targets == c].double()
        inertia = float(torch.cdist(members, centres).min(dim=1).values.square().sum())
        best = Lloyd(3, n_init=20, random_state=0).fit(members.numpy()).inertia_
        assert best - 1e-3 <= inertia <= 1.05 * best
    # A centre is the mean of the rows nearest to it, and so is its number.
    inputs, targets = dd.distill(numbers, dd.methods.build_method("k_means", ipc=4, target=numbers)).tensors()
    real = numbers.spec.normalisation.apply(numbers.train.inputs)
    owners = torch.cdist(real, inputs).argmin(dim=1)
    for i in range(4):
        assert torch.allclose(inputs[i], real[owners == i].mean(dim=0), atol=1e-4)
        assert torch.allclose(targets[i], numbers.train.targets[owners == i].mean(dim=0), atol=1e-4)


def test_a_summary_comes_back_from_disk_with_everything(frame: pd.DataFrame, tmp_path: Path) -> None:
    target = dd.load_data(frame, target="label")
    for storage in ("float32", "fp16"):
        method = dd.Method(Rows(ipc=3, storage=storage))
        saved = dd.distill(target, method)
        loaded = dd.DataSummary.load(saved.save(tmp_path / storage))
        assert loaded.spec == saved.spec
        assert isinstance(loaded.spec, TableSpec) and loaded.spec.columns[1].categories == ("Lima", "Oslo", "Rome")
        assert loaded.sha256() == saved.sha256()
        assert loaded.to_dataframe().equals(saved.to_dataframe())
    card = (tmp_path / "fp16" / "README.md").read_text()
    assert "Rome" in card and "examples.png" not in card


def test_a_number_comes_back_in_its_own_units(numbers: dd.TargetData, tmp_path: Path) -> None:
    saved = dd.distill(numbers, dd.methods.build_method("random", ipc=6, target=numbers))
    loaded = dd.DataSummary.load(saved.save(tmp_path / "s"))
    assert loaded.spec == saved.spec
    shown = loaded.to_dataframe()
    wanted = 10 + shown["x0"] * 3 - shown["x1"] * 2 + shown["x2"]
    assert np.allclose(shown["target"], wanted, atol=1e-4)


def test_selected_rows_are_rows_of_the_table(frame: pd.DataFrame) -> None:
    target = dd.load_data(frame, target="label")
    shown = dd.distill(target, dd.methods.build_method("random", ipc=5, target=target)).to_dataframe()
    assert list(shown.columns) == ["age", "city", "member", "label"]
    rows = {(round(age, 1), city, str(member), label) for age, city, member, label in frame.itertuples(index=False)}
    assert {(round(r.age, 1), r.city, r.member, r.label) for r in shown.itertuples()} <= rows
    assert shown["label"].value_counts().to_dict() == {"no": 5, "yes": 5}


def test_soft_labels_stand_beside_the_likeliest_class(classes: dd.TargetData) -> None:
    method = dd.Method(Rows(ipc=2, labels="soft"), dd.matching.UnrolledTraining(), dd.sources.FreshNetworks(), steps=1)
    shown = dd.distill(classes, method).to_dataframe()
    assert list(shown.columns)[-3:] == ["target", "target=0", "target=1"]
    assert (shown["target"] == shown[["target=0", "target=1"]].idxmax(axis=1).str[-1]).all()


def test_centres_of_fewer_rows_than_clusters_have_numbers_too() -> None:
    x = np.array([[0.0], [1.0]] * 50)
    target = dd.load_data((x, x[:, 0] + np.linspace(0, 0.1, 100)), name="two points")
    inputs, numbers = dd.distill(target, dd.methods.build_method("k_means", ipc=5, target=target)).tensors()
    assert bool(torch.isfinite(numbers).all())
    assert ((inputs[:, 0] > 0) == (numbers[:, 0] > 0)).all()


def test_parts_at_any_depth_are_suited(classes: dd.TargetData, few_digits: dd.TargetData) -> None:
    """Experts' augmentation, a rule's network, each of several networks."""
    method = dd.methods.mtt(ipc=1, preset="cpu").suited_to(classes.spec)
    assert method.describe()["networks"]["training"]["augmentation"] == {"type": "NoAugmentation"}
    rule = dd.methods.forgetting(ipc=1, preset="cpu")
    for data, kind in ((classes, "MLP"), (few_digits, "ConvNet")):
        record = dd.distill(data, rule.suited_to(data.spec)).record["method"]
        assert record["factorization"]["init"]["architecture"]["type"] == kind
    several = OneOf((MLP(width=3), Usual(), dd.images.ConvNet()))
    suited = dd.parts.suited_architecture(several, classes.spec)
    assert suited == OneOf((MLP(width=3), MLP(), MLP()))
    with pytest.raises(UnsupportedError, match="ConvNet is for images"):
        dd.distill(classes, method, networks=[MLP(width=3), dd.images.ConvNet()])


def test_data_of_other_columns_or_units_do_not_go_together(numbers: dd.TargetData, frame: pd.DataFrame) -> None:
    summary = dd.distill(numbers, dd.methods.build_method("random", ipc=3, target=numbers))
    twice = numbers.train.inputs.numpy(), 20 + 2 * numbers.train.targets[:, 0].numpy()
    other = dd.load_data(twice, name="other units")
    other = replace(other, spec=replace(other.spec, normalisation=numbers.spec.normalisation))
    for together in (
        lambda: dd.evaluate(summary, other),
        lambda: dd.concat([summary, replace(summary, spec=other.spec)]),
        lambda: dd.distill(other, dd.Method(Rows(ipc=3)), start=summary),
    ):
        with pytest.raises(InputDataError, match=r"scaled differently.*like=summary.spec"):
            together()
    people = dd.load_data(frame, target="label")
    renamed = dd.load_data(frame.rename(columns={"age": "years"}), target="label")
    small = dd.distill(people, dd.methods.build_method("random", ipc=1, target=people))
    with pytest.raises(InputDataError, match="differ in column 'age'"):
        dd.evaluate(small, renamed)
    with pytest.raises(InputDataError, match="tables with classification and tables with regression"):
        dd.concat([small, summary])


def test_numbers_are_parted_like_classes(numbers: dd.TargetData) -> None:
    parts = dd.data.partitions
    for made in (
        parts.iid(numbers, 3),
        parts.dirichlet(numbers, 3, 1.0),
        parts.shards(numbers, 3),
        parts.quantity_skew(numbers, 3, 1.0),
    ):
        rows = torch.cat([part.train.inputs for part in made])
        assert sorted(rows[:, 0].tolist()) == sorted(numbers.train.inputs[:, 0].tolist())
    assert torch.equal(numbers.of_classes([0]).train.targets, numbers.train.targets)


def test_what_diverged_has_scores(few_digits: dd.TargetData) -> None:
    broken = torch.full((6, 3), float("nan"))
    found = Classification().scores(broken, torch.tensor([0, 1, 2, 0, 1, 2]))
    assert set(found) == {"accuracy", "macro_f1"}
    assert Regression().scores(torch.zeros(3, 1), torch.ones(3, 1)) == {"r2": 0.0, "rmse": 1.0}
    assert Regression().scores(torch.ones(3, 1), torch.ones(3, 1)) == {"r2": 1.0, "rmse": 0.0}


def test_a_run_resumes_to_the_same_bytes(classes: dd.TargetData, tmp_path: Path) -> None:
    method = short("dc", classes, steps=6)
    whole = dd.distill(classes, method, seed=2)
    dd.distill(classes, method, seed=2, checkpoint=tmp_path / "c", callbacks=[], max_seconds=0.0)
    resumed = dd.distill(classes, method, seed=2, checkpoint=tmp_path / "c")
    assert resumed.sha256() == whole.sha256()


def test_a_union_has_the_rows_of_both(classes: dd.TargetData) -> None:
    parts = [dd.distill(classes, dd.methods.build_method("random", ipc=2, target=classes), seed=s) for s in (0, 1)]
    union = dd.concat(parts)
    assert union.counts == {0: 4, 1: 4} and union.spec == classes.spec


def test_tables_have_no_pixels_and_images_no_frame(classes: dd.TargetData, few_digits: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match="tables do not become pixels: choose of dataframe"):
        dd.distill(classes, dd.Method(Rows(ipc=1))).to_pixels()
    with pytest.raises(UnsupportedError, match="images do not become dataframe: choose of pixels"):
        dd.distill(few_digits, dd.methods.random(ipc=1)).to_dataframe()


def test_scores_are_those_of_sklearn() -> None:
    from sklearn.metrics import f1_score, r2_score, roc_auc_score, root_mean_squared_error

    random = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(200, 4, generator=random), torch.randint(3, (200,), generator=random)
    logits[torch.arange(200), targets] += 1
    found = Classification().scores(logits, targets)
    guesses = logits.argmax(dim=1)
    assert found["accuracy"] == pytest.approx(100 * float((guesses == targets).double().mean()))
    assert found["macro_f1"] == pytest.approx(100 * f1_score(targets, guesses, average="macro"))
    assert "roc_auc" not in found  # no example is of class 3
    two, binary = logits[:, :2], (targets > 0).long()
    found = Classification().scores(two, binary)
    assert found["roc_auc"] == pytest.approx(100 * roc_auc_score(binary, two.softmax(dim=1)[:, 1]))
    three = Classification().scores(logits[:, :3], targets)["roc_auc"]
    assert three == pytest.approx(100 * roc_auc_score(targets, logits[:, :3].softmax(dim=1), multi_class="ovr"))
    outputs, numbers = torch.randn(50, 1, generator=random), torch.randn(50, 1, generator=random)
    scores = Regression(scale=7.0).scores(outputs, numbers)
    assert list(scores) == ["r2", "rmse"]
    assert scores["r2"] == pytest.approx(r2_score(numbers, outputs))
    assert scores["rmse"] == pytest.approx(7 * root_mean_squared_error(numbers, outputs), rel=1e-6)


@pytest.mark.parametrize("family", dd.methods.FAMILIES)
def test_every_family_optimises_rows(family: str, classes: dd.TargetData) -> None:
    """Also where the learning rates of the composition name what is stored."""
    for kind in ("rows", "pixels"):
        method = dd.methods.compose(family, kind, ipc=2, preset="cpu").suited_to(classes.spec)
        assert "images" not in method.optimiser.group_learning_rates
        for path, value in {"networks.count": 1, "networks.last_start": 1, "networks.training.epochs": 3}.items():
            if hasattr(method.networks, "training"):
                method = dd.override(method, path, value)
        start, end = (dd.distill(classes, method, steps=steps) for steps in (0, 2))
        assert not torch.equal(start.tensors()[0], end.tensors()[0])


def test_a_storage_that_rows_do_not_have_is_refused_when_it_is_asked_for(classes: dd.TargetData) -> None:
    with pytest.raises(UnknownNameError, match="unknown storage 'uint8': choose one of float32, fp16"):
        dd.methods.build_method("dm", ipc=1, target=classes, storage="uint8")
