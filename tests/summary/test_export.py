from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.datasets import ImageFolder

import ddcore as dd
from ddapps.cli.main import main
from ddcore.errors import DistillationWarning, MissingExtraError, OutputExistsError, SettingsError, UnsupportedError
from ddcore.images import Pixels
from ddcore.images.exports import folder_names
from ddcore.labels import TeacherLabelling
from tests.running import untrained_teacher
from tests.tables.conftest import frame  # noqa: F401
from tests.text.data import topics

COLOURS = ("red fox", "Blue/whale", "blue_whale", "../up", "test")


def coloured(classes: tuple[str, ...] = COLOURS) -> dd.TargetData:
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 6, 6), dtype=np.uint8)
    labels = np.arange(10) % 5
    return dd.load_data((images, labels, images, labels), class_names=classes, name="coloured")


@pytest.fixture(scope="module")
def images() -> dd.DataSummary:
    """Real images in bytes, so that what is exported is exact."""
    return dd.distill(coloured(), dd.Method(factorization=Pixels(ipc=1, storage="uint8")))


@pytest.fixture(scope="module")
def soft(digits: dd.TargetData) -> dd.DataSummary:
    teacher = untrained_teacher(digits.spec)
    labelling = TeacherLabelling("soft", (teacher,), storage="float32")
    return dd.distill(digits, dd.methods.random(ipc=1)).labelled(labelling)


@pytest.fixture(autouse=True)
def _quiet_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def bytes_of(summary: dd.DataSummary) -> torch.Tensor:
    return (summary.to_pixels() * 255).round().to(torch.uint8)


def read_back(folder: Path, cache: Path) -> object:
    import datasets

    return datasets.load_dataset(str(folder), cache_dir=str(cache), split="train")


def test_torchvision_reads_the_folder_with_the_same_pixels(images: dd.DataSummary, tmp_path: Path) -> None:
    path = images.export(tmp_path / "deep" / "folder", "image-folder")
    found = ImageFolder(path)
    names = ["Blue_whale", "_up", "blue_whale_2", "red fox", "test_4"]
    assert found.classes == sorted(names) and len(found) == 5
    of_class = {0: "red fox", 1: "Blue_whale", 2: "blue_whale_2", 3: "_up", 4: "test_4"}
    seen = {found.classes[label]: np.asarray(image) for image, label in found}
    for pixels, class_id in zip(bytes_of(images), images.tensors()[1].tolist(), strict=True):
        assert np.array_equal(seen[of_class[class_id]], pixels.permute(1, 2, 0).numpy())
    assert sorted(p.name for p in path.iterdir()) == sorted(names)


def test_ids_without_names_keep_their_order_as_folders() -> None:
    spec = dd.images.ImageSpec(shape=(1, 4, 4), num_classes=12, classes=tuple(range(12)))
    names = folder_names(spec, range(12))
    assert sorted(names.values()) == [names[c] for c in range(12)] and names[3] == "03"


def test_an_npz_is_read_by_load_data_and_by_numpy(images: dd.DataSummary, tmp_path: Path) -> None:
    path = images.export(tmp_path / "s.npz", "npz")
    loaded = dd.load_data(path, normalisation="none")
    everything = torch.cat([loaded.train.inputs, loaded.test.inputs]) if loaded.test else loaded.train.inputs
    assert torch.equal(everything, images.to_pixels())
    with np.load(path, allow_pickle=False) as held:
        assert held["class_names"].tolist() == list(COLOURS)
        assert torch.equal(torch.from_numpy(held["y_train"]), images.tensors()[1])


def test_datasets_reads_the_folder_with_names_and_features(images: dd.DataSummary, tmp_path: Path) -> None:
    import datasets

    found = read_back(images.export(tmp_path / "hf", "huggingface"), tmp_path / "cache")
    assert found.features["label"] == datasets.ClassLabel(names=list(COLOURS))
    assert isinstance(found.features["image"], datasets.Image) and found["label"] == images.tensors()[1].tolist()
    for image, pixels in zip(found["image"], bytes_of(images), strict=True):
        assert np.array_equal(np.asarray(image), pixels.permute(1, 2, 0).numpy())
    card = (tmp_path / "hf" / "README.md").read_text()
    assert card.startswith("---\n") and "# custom summary of coloured" in card and "'3': ../up" in card


def test_soft_labels_are_written_beside_the_likeliest_class(soft: dd.DataSummary, tmp_path: Path) -> None:
    given = soft.tensors()[1]
    likeliest = given.argmax(dim=1).tolist()
    folder = soft.export(tmp_path / "folder", "image-folder")
    table = pd.read_csv(folder / "soft_labels.csv", index_col="file")
    assert list(table.columns) == list(soft.spec.class_names) and np.allclose(table.to_numpy(), given.numpy())
    assert all((folder / file).is_file() for file in table.index)
    with np.load(soft.export(tmp_path / "s.npz", "npz")) as held:
        assert np.array_equal(held["y_soft"], given.numpy()) and held["y_train"].tolist() == likeliest
    found = read_back(soft.export(tmp_path / "hf", "huggingface"), tmp_path / "cache")
    assert np.allclose(found["soft_label"], given.numpy()) and found["label"] == likeliest


@pytest.mark.filterwarnings("default::ddcore.errors.DistillationWarning")
def test_labels_of_views_are_said_to_be_left_out(
    digits: dd.TargetData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = dd.distill(digits, dd.methods.random(ipc=1))
    teacher = untrained_teacher(digits.spec)
    viewed = summary.labelled(TeacherLabelling("soft-per-view", (teacher,), epochs=2, batch_size=4))
    with pytest.warns(DistillationWarning, match="labels 'soft-per-view' change from view to view"):
        viewed.export(tmp_path / "a.npz", "npz")
    viewed.save(tmp_path / "s")
    assert main(["export", str(tmp_path / "s"), "--form", "npz", "--out", str(tmp_path / "b.npz")]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'b.npz'}\n" and "change from view to view" in told.err


@pytest.mark.parametrize("form", ["csv", "parquet", "huggingface"])
def test_tables_become_frames(frame: pd.DataFrame, tmp_path: Path, form: str) -> None:  # noqa: F811
    target = dd.load_data(frame, target="label", name="people")
    summary = dd.distill(target, dd.methods.random(ipc=3).suited_to(target.spec))
    wanted = summary.to_dataframe()
    path = summary.export(tmp_path / ("hf" if form == "huggingface" else f"t.{form}"), form)
    if form == "huggingface":
        dataset = read_back(path, tmp_path / "cache")
        assert dataset.features["label"].names == ["no", "yes"]
        names = dataset.features["label"].names
        found = dataset.to_pandas().assign(label=[names[i] for i in dataset["label"]])
    else:
        found = pd.read_csv(path) if form == "csv" else pd.read_parquet(path)
        again = dd.load_data(path, target="label", like=summary.spec)
        assert len(again.train) + len(again.test or ()) == len(summary)
    assert [list(map(str, row)) for row in found.to_numpy()] == [list(map(str, row)) for row in wanted.to_numpy()]


def test_numbers_and_distributions_of_tables(frame: pd.DataFrame, tmp_path: Path) -> None:  # noqa: F811
    target = dd.load_data(frame.drop(columns="label"), target="age", name="ages")
    summary = dd.distill(target, dd.methods.random(ipc=4).suited_to(target.spec))
    found = read_back(summary.export(tmp_path / "hf", "huggingface"), tmp_path / "cache")
    assert np.allclose(found["age"], summary.to_dataframe()["age"])


def test_sentences_become_their_words(tmp_path: Path) -> None:
    target = topics()
    summary = dd.distill(target, dd.methods.random(ipc=3).suited_to(target.spec))
    path = summary.export(tmp_path / "t.csv", "csv")
    found = pd.read_csv(path)
    assert list(found.columns) == ["text", "label"]
    again = dd.load_data(found.assign(split="train"), like=summary.spec)
    inputs, targets = summary.tensors()
    assert torch.equal(summary.spec.normalisation.apply(again.train.inputs), inputs)
    assert torch.equal(again.train.targets, targets)


def test_a_form_that_is_not_there_and_a_path_that_is(images: dd.DataSummary, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="choose one of image-folder, npz, huggingface"):
        images.export(tmp_path / "x", "csv")
    with pytest.raises(UnsupportedError, match="do not become npz: choose of pixels"):
        images._as("npz")
    with pytest.raises(SettingsError, match=r"is a file that ends in \.npz, not 'x'"):
        images.export(tmp_path / "x", "npz")
    with pytest.raises(OutputExistsError, match="is there already"):
        images.export(tmp_path, "image-folder")
    odd = dd.load_data((np.zeros((4, 2, 6, 6), dtype=np.uint8), np.arange(4) % 2, np.zeros((1, 2, 6, 6)), np.zeros(1)))
    with pytest.raises(UnsupportedError, match="images of 2 channels are no PNG"):
        dd.distill(odd, dd.methods.random(ipc=1)).export(tmp_path / "x", "image-folder")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(images: dd.DataSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"needs datasets: pip install -e '\.\[huggingface\]'"):
        images.export(tmp_path / "x", "huggingface")


def test_interactions_keep_users_items_and_weights(tmp_path: Path) -> None:
    from tests.interactions.data import tastes

    target = tastes()
    summary = dd.distill(target, dd.methods.random(ipc=4).suited_to(target.spec))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pd.read_csv(summary.export(tmp_path / "i.csv", "csv"))
    wanted = summary.to_dataframe()
    assert list(found.columns) == ["user", "item", "weight"]
    assert found["item"].astype(str).tolist() == wanted["item"].astype(str).tolist()
