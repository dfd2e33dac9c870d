"""Paths and slips in what is evaluated and distilled."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

import ddcore as dd
from ddcore.errors import DistillationWarning, InputDataError, SettingsError, SummaryFormatError, UnsupportedError
from ddcore.parts import as_architecture

SHORT = {"networks": "mlp(width=4)", "runs": 1, "protocol": dd.training.PROTOCOLS["quick"].with_epochs(1)}


def test_paths_are_loaded(digits: dd.TargetData, tmp_path: Path) -> None:
    summary = dd.distill("digits", dd.methods.random(ipc=1))
    assert summary.sha256() == dd.distill(digits, dd.methods.random(ipc=1)).sha256()
    digits = dd.load_data("digits", normalisation="none")
    summary = dd.distill(digits, dd.methods.random(ipc=1))
    wanted = dd.evaluate(summary, digits, **SHORT)  # type: ignore[arg-type]
    found = dd.evaluate(str(summary.save(tmp_path)), "digits", **SHORT)  # type: ignore[arg-type]
    assert found.results[0].values == wanted.results[0].values
    kernel = dd.evaluate_kernel(tmp_path, "digits")
    assert kernel.results[0].values == dd.evaluate_kernel(summary, digits).results[0].values


def test_slips_say_what_was_meant(few_digits: dd.TargetData, tmp_path: Path) -> None:
    summary = dd.distill(few_digits, dd.methods.random(ipc=1))
    for given, error, message in (
        ((few_digits, summary), InputDataError, "the second the data .*: the arguments are swapped"),
        ((None, few_digits), InputDataError, "must be a DataSummary or its path, not NoneType"),
        ((summary, [1]), InputDataError, "not list: load it with"),
        ((tmp_path / "none", few_digits), SummaryFormatError, f"{tmp_path}/none/config.json is missing"),
    ):
        with pytest.raises(error, match=message):
            dd.evaluate(*given)  # type: ignore[arg-type]
    for given, message in (
        ((few_digits, summary), "list of them, not TargetData: the arguments are swapped"),
        (([summary, 3], few_digits), "list of them, not int"),
    ):
        with pytest.raises(InputDataError, match=message):
            dd.report(*given)  # type: ignore[arg-type]
    with pytest.raises(InputDataError, match="address of a summary, not DataSummary: save it first"):
        dd.verify(summary, few_digits)  # type: ignore[arg-type]
    with pytest.raises(InputDataError, match="'wine' names tables, and images are wanted"):
        dd.evaluate(summary, "wine")
    with pytest.raises(InputDataError, match="a Method: the arguments are swapped; got TargetData"):
        dd.distill("dm", few_digits)  # type: ignore[arg-type]
    with pytest.raises(InputDataError, match="not real data"):
        dd.evaluate_kernel(few_digits, few_digits)  # type: ignore[arg-type]
    with pytest.raises(InputDataError, match=r"not tuple: take load_data\(...\)"):
        dd.distill((1, 2), dd.methods.random(ipc=1))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="runs must be a whole number above 0, not '3'"):
        dd.evaluate(summary, few_digits, runs="3")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="trains no networks: use evaluate_kernel"):
        dd.evaluate(summary, few_digits, protocol="krr", networks="mlp")


def test_progress_is_said_on_standard_error(few_digits: dd.TargetData, capsys: pytest.CaptureFixture[str]) -> None:
    summary = dd.distill(few_digits, dd.methods.random(ipc=1))
    said = []
    for progress in (True, False, said.append):
        dd.evaluate(summary, few_digits, progress=progress, **SHORT)  # type: ignore[arg-type]
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.splitlines()[0] == said[0]
    assert len(printed.err.splitlines()) == len(said) == 2


def test_classes_that_are_not_those_of_the_summary_are_refused_or_said(few_digits: dd.TargetData) -> None:
    pixels, labels = few_digits.train.inputs, few_digits.train.targets.clamp(max=2)
    ours = dd.load_data(pixels, labels + 1, pixels, labels + 1, num_classes=4)
    theirs = dd.load_data(pixels, labels, pixels, labels, like=ours.spec)
    summary = dd.distill(ours, dd.methods.random(ipc=1))
    with pytest.raises(
        InputDataError, match="examples of classes 1, 2, 3, the test split of 0, 1, 2: their ids do not"
    ):
        dd.evaluate(summary, theirs, **SHORT)  # type: ignore[arg-type]
    with pytest.raises(InputDataError, match="their ids do not"):
        dd.evaluate_kernel(summary, theirs)
    fewer = dd.distill(ours.of_classes([1, 2]), dd.methods.random(ipc=1))
    with pytest.warns(DistillationWarning, match=r"40 of 120 test .* \(3\): none .*of_classes\(\[1, 2\]\)"):
        dd.evaluate(fewer, ours, **SHORT)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dd.evaluate(summary, ours.of_classes([1, 2]), **SHORT)  # type: ignore[arg-type]


def test_builders_are_called_by_the_parameters_that_they_have() -> None:
    def of_shape(shape: tuple[int, ...], num_classes: int = 7) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_classes))

    def of_classes(*, num_classes: int = 7, width: int = 5) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.ReLU(), nn.Linear(width, num_classes))

    def plain(side: tuple[int, ...], classes: int) -> nn.Module:
        return of_shape(side, classes)

    for build in (of_shape, of_classes, plain):
        assert as_architecture(build).build((3, 8, 8), 4, seed=0).module(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    network = as_architecture(resnet18).build((3, 8, 8), 4, seed=0)
    assert network.head == "fc" and network.module.fc.out_features == 4
    with pytest.raises(UnsupportedError, match="10 logits each are needed: build it for them, as resnet18"):
        as_architecture(of_classes()).build((3, 8, 8), 10, seed=0)

    def broken(num_classes: int) -> nn.Module:
        raise ValueError("no such thing")

    with pytest.raises(UnsupportedError, match=r"factory .*broken failed \(no such thing\)"):
        as_architecture(broken).build((3, 8, 8), 4, seed=0)
