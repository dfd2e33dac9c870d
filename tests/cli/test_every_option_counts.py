"""No option of the commands on summaries, experts and teachers is read and then ignored.

A command is run with and without an option. What it asks of the library, or leaves behind, must
differ as the option says.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import ddcore as dd
from ddapps.cli.main import build_parser, main
from ddcore.engine import TEACHING
from ddcore.engine.teacher import train_teacher
from ddcore.errors import DistillationError
from ddcore.labels import TeacherLabelling
from ddcore.networks import MLP
from ddcore.parts import OneOf
from ddcore.sources import ExpertTraining
from ddcore.training import Training
from tests.cli.test_commands import npz  # noqa: F401

Asked = SimpleNamespace


class _AskedError(DistillationError):
    """Ends a command where it would have begun to work."""


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Asked]:
    """Return a function that runs a command up to its call of the library.

    It returns that call's arguments by name.
    """
    noted: dict[str, Any] = {}
    load_data = dd.load_data

    def loaded(source: object, **settings: Any) -> dd.TargetData:
        noted["loading"] = settings
        return load_data(source, **settings)

    def called(name: str) -> Callable[..., None]:
        def note(*arguments: Any, **settings: Any) -> None:
            noted.update(name=name, arguments=arguments, **settings)
            raise _AskedError(name)

        return note

    monkeypatch.setattr(dd, "load_data", loaded)
    for name in ("distill", "evaluate", "verify", "report", "evaluate_kernel", "train_experts", "train_teacher"):
        monkeypatch.setattr(dd, name, called(name))

    def run(words: list[str]) -> Asked:
        noted.clear()
        main(words)
        return Asked(**noted)

    return run


def method(asked: Asked) -> dd.Method:
    found: dd.Method = asked.arguments[1]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 255, (10, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return str(tmp_path / "images")


DATA: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--size": (["--size", "6"], lambda asked: asked.loading.get("size"), 6),
    "--enlarge": (["--enlarge"], lambda asked: asked.loading.get("enlarge"), True),
    "--skip-corrupt": (["--skip-corrupt"], lambda asked: asked.loading.get("corrupt"), "skip"),
    "--no-mirror": (["--no-mirror"], lambda asked: asked.loading.get("mirror"), False),
    "--data-root": (["--data-root", "some/where"], lambda asked: str(asked.loading.get("root")), "some/where"),
    "--modality": (["--modality", "images"], lambda asked: asked.loading.get("modality"), "images"),
}
DISTILL: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--method": (["--method", "dc"], lambda asked: method(asked).name, "dc"),
    "--matching": (["--matching", "gradient"], lambda asked: method(asked).matching.family, "gradient"),  # type: ignore[union-attr]
    "--factorization": (
        ["--factorization", "linear-bases"],
        lambda asked: method(asked).factorization.name,
        "linear_bases",
    ),
    "--bytes": (["--bytes", "3000"], lambda asked: method(asked).factorization.ipc, 1),  # type: ignore[attr-defined]
    "--labels": (
        ["--labels", "soft(storage=4bit)"],
        lambda asked: method(asked).labels,
        TeacherLabelling("soft", storage="4bit"),
    ),
    "--storage": (["--storage", "fp16"], lambda asked: method(asked).factorization.storage, "fp16"),  # type: ignore[attr-defined]
    "--codec": (
        ["--codec", "5x3"],
        lambda asked: dd.describe(method(asked).factorization).get("levels"),
        3,
    ),
    "--ipc": (["--ipc", "3"], lambda asked: method(asked).factorization.ipc, 3),  # type: ignore[attr-defined]
    "--preset": (["--preset", "paper"], lambda asked: method(asked).preset, "paper"),
    "--steps": (["--steps", "17"], lambda asked: method(asked).steps, 17),
    "--max-seconds": (["--max-seconds", "2.5"], lambda asked: asked.max_seconds, 2.5),
    "--checkpoint-seconds": (["--checkpoint-seconds", "7"], lambda asked: asked.checkpoint_seconds, 7.0),
    "--seed": (["--seed", "8"], lambda asked: asked.seed, 8),
    "--network": (["--network", "mlp(width=5)"], lambda asked: method(asked).networks.architecture, MLP(width=5)),  # type: ignore[attr-defined]
    "--set": (["--set", "optimiser.learning_rate=0.5"], lambda asked: method(asked).optimiser.learning_rate, 0.5),
    "--quiet": (["--quiet"], lambda asked: asked.progress, False),
    "--normalisation": (["--normalisation", "zca"], lambda asked: asked.loading.get("normalisation"), "zca"),
    "--compile": (["--compile"], lambda asked: asked.compile, True),
    "--snapshots": (
        ["--snapshots", "3"],
        lambda asked: [c.count for c in asked.callbacks if isinstance(c, dd.callbacks.Snapshots)],
        [3],
    ),
    "--tensorboard": (
        ["--tensorboard", "events"],
        lambda asked: [c.directory for c in asked.callbacks if isinstance(c, dd.callbacks.TensorBoard)],
        [Path("events")],
    ),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--precision": (["--precision", "fp64"], lambda asked: asked.precision, "fp64"),
    **DATA,
}
WORKERS: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--workers": (["--workers", "2"], lambda asked: asked.workers, dd.Workers(2)),
    "--ray-address": (
        ["--workers", "2", "--ray-address", "127.0.0.1:6379"],
        lambda asked: asked.workers,
        dd.Workers(2, "127.0.0.1:6379"),
    ),
}
EVALUATE: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--networks": (["--networks", "mlp(width=5),lenet"], lambda asked: asked.networks, ["mlp(width=5)", "lenet"]),
    "--protocol": (["--protocol", "dsa"], lambda asked: asked.protocol.name, "dsa"),
    "--runs": (["--runs", "3"], lambda asked: asked.runs, 3),
    "--seed": (["--seed", "8"], lambda asked: asked.seed, 8),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--precision": (["--precision", "fp64"], lambda asked: asked.precision, "fp64"),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **WORKERS,
    **DATA,
}


def of_words(read: Callable[[Asked], object]) -> Callable[[Asked], object]:
    """Read options of loading where the library is asked to load by itself."""
    return lambda asked: read(Asked(loading=vars(asked)))


def loads(read: Callable[[Asked], object]) -> Callable[[Asked], object]:
    """Read options of loading where the library is given a function that loads."""

    def of_its_loading(asked: Asked) -> object:
        with mock.patch.object(dd, "load_data") as loading:
            asked.arguments[1](None)
        return read(Asked(loading=loading.call_args.kwargs))

    return of_its_loading


VERIFY: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **WORKERS,
    **{name: (words, of_words(read), wanted) for name, (words, read, wanted) in DATA.items()},
}
REPORT: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--networks": (["--networks", "mlp,convnet"], lambda asked: asked.networks, ["mlp", "convnet"]),
    "--protocol": (["--protocol", "dc"], lambda asked: asked.protocol, "dc"),
    "--runs": (["--runs", "3"], lambda asked: asked.runs, 3),
    "--seed": (["--seed", "8"], lambda asked: asked.seed, 8),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--precision": (["--precision", "fp64"], lambda asked: asked.precision, "fp64"),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **WORKERS,
    **{name: (words, loads(read), wanted) for name, (words, read, wanted) in DATA.items()},
}
KERNEL: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--kernels": (["--kernels", "nngp(depth=2),ntk"], lambda asked: asked.kernels, ["nngp(depth=2)", "ntk"]),
    "--ridge": (["--ridge", "0.5"], lambda asked: asked.ridge, 0.5),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
}
EXPERTS: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--network": (["--network", "mlp(width=5)"], lambda asked: asked.network, "mlp(width=5)"),
    "--count": (["--count", "3"], lambda asked: asked.count, 3),
    "--epochs": (["--epochs", "4"], lambda asked: asked.training, ExpertTraining(epochs=4)),
    "--seed": (["--seed", "8"], lambda asked: asked.seed, 8),
    "--together": (["--together", "2"], lambda asked: asked.together, 2),
    **WORKERS,
    "--set": (["--set", "learning_rate=0.5"], lambda asked: asked.training, ExpertTraining(learning_rate=0.5)),
    "--normalisation": (["--normalisation", "zca"], lambda asked: asked.loading.get("normalisation"), "zca"),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **DATA,
}


TEACHER: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--network": (["--network", "mlp(width=5)"], lambda asked: asked.network, "mlp(width=5)"),
    "--epochs": (["--epochs", "4"], lambda asked: asked.training, replace(TEACHING, epochs=4)),
    "--seed": (["--seed", "8"], lambda asked: asked.seed, 8),
    "--set": (["--set", "learning_rate=0.5"], lambda asked: asked.training, replace(TEACHING, learning_rate=0.5)),
    "--normalisation": (["--normalisation", "zca"], lambda asked: asked.loading.get("normalisation"), "zca"),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **DATA,
}


def of_settings(name: str) -> Callable[[Asked], object]:
    """Read a setting of the first row of a federated comparison."""
    return lambda asked: getattr(asked.arguments[1], name)


FEDERATED: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--clients": (["--clients", "3"], lambda asked: asked.clients, 3),
    "--alpha": (["--alpha", "0.7"], lambda asked: asked.alpha, 0.7),
    "--form": (["--form", "feddm"], of_settings("form"), "feddm"),
    "--method": (["--method", "dsa"], of_settings("method"), "dsa"),
    "--ipc": (["--ipc", "3"], of_settings("ipc"), 3),
    "--bytes": (["--bytes", "16kB"], of_settings("bytes"), "1600"),
    "--rounds": (["--form", "feddm", "--rounds", "2"], of_settings("rounds"), 2),
    "--baselines": (["--baselines", "ensemble"], lambda asked: asked.baselines, ["ensemble"]),
    "--baseline-rounds": (["--baseline-rounds", "7"], lambda asked: asked.rounds, 7),
    "--seeds": (["--seeds", "2"], lambda asked: asked.seeds, 2),
    "--seed": (["--seed", "8"], of_settings("seed"), 8),
    "--network": (["--network", "mlp(width=5)"], of_settings("network"), "mlp(width=5)"),
    "--protocol": (["--protocol", "dsa"], of_settings("protocol"), "dsa"),
    "--tune-auto": (["--tune-auto"], lambda asked: asked.tune_auto, True),
    "--workers": (["--workers", "3"], lambda asked: asked.workers, 3),
    "--updates": (["--updates", "9"], of_settings("updates"), 9),
    "--steps": (["--steps", "17"], of_settings("steps"), 17),
    "--max-seconds": (["--max-seconds", "2.5"], of_settings("max_seconds"), 2.5),
    "--set": (["--set", "levels=16"], of_settings("levels"), 16),
    "--normalisation": (["--normalisation", "zca"], lambda asked: asked.loading.get("normalisation"), "zca"),
    "--device": (["--device", "cpu"], of_settings("device"), "cpu"),
    "--out": (["--out", "kept"], lambda asked: asked.directory, Path("kept")),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **DATA,
}
CONTINUAL: dict[str, tuple[list[str], Callable[[Asked], object], object]] = {
    "--tasks": (["--tasks", "2"], lambda asked: asked.tasks, 2),
    "--method": (["--method", "dc,auto"], lambda asked: asked.arguments[1], ["dc", "auto"]),
    "--memory": (["--memory", "20kB"], lambda asked: asked.memory, "20kB"),
    "--baselines": (["--baselines", "gdumb,png"], lambda asked: asked.baselines, ["gdumb", "png"]),
    "--seeds": (["--seeds", "2"], lambda asked: asked.seeds, 2),
    "--seed": (["--seed", "8"], lambda asked: asked.seed, 8),
    "--network": (["--network", "mlp(width=5)"], lambda asked: asked.network, "mlp(width=5)"),
    "--protocol": (["--protocol", "dsa"], lambda asked: asked.protocol, "dsa"),
    "--untuned-recall": (["--untuned-recall"], lambda asked: asked.tune_recall, False),
    "--workers": (["--workers", "3"], lambda asked: asked.workers, 3),
    "--final-only": (["--final-only"], lambda asked: asked.final_only, True),
    "--tune-auto": (["--tune-auto"], lambda asked: asked.tune_auto, True),
    "--mixed": (["--mixed", "0.25"], lambda asked: asked.mixed, 0.25),
    "--no-replay": (["--no-replay"], lambda asked: asked.replay, False),
    "--no-float32": (["--no-float32"], lambda asked: asked.float32, False),
    "--steps": (["--steps", "17"], lambda asked: asked.steps, 17),
    "--max-seconds": (["--max-seconds", "2.5"], lambda asked: asked.max_seconds, 2.5),
    "--split": (
        ["--split", "validation"],
        lambda asked: (asked.split, asked.loading["validation"]),
        ("validation", 0.2),
    ),
    "--normalisation": (["--normalisation", "zca"], lambda asked: asked.loading.get("normalisation"), "zca"),
    "--device": (["--device", "cpu"], lambda asked: asked.device, "cpu"),
    "--out": (["--out", "kept"], lambda asked: asked.directory, Path("kept")),
    "--quiet": (["--quiet"], lambda asked: asked.progress, None),
    **{name: option for name, option in DATA.items() if name != "--modality"},
}


def differs_as_it_says(
    ask: Callable[[list[str]], Asked], words: list[str], option: tuple[list[str], Callable[[Asked], object], object]
) -> None:
    more, read, wanted = option
    assert read(ask([*words, *more])) == wanted
    assert read(ask(words)) != wanted


@pytest.mark.parametrize("option", DISTILL)
def test_distill(ask: Callable[[list[str]], Asked], folder: str, tmp_path: Path, option: str) -> None:
    differs_as_it_says(ask, ["distill", folder, "--out", str(tmp_path / "out")], DISTILL[option])


def test_distill_works_in_its_own_directory_and_from_the_experts_given(
    ask: Callable[[list[str]], Asked],
    npz: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    asked = ask(["distill", npz, "--out", str(tmp_path / "here")])
    assert asked.checkpoint.parent == tmp_path / "here" and asked.name == "distill"
    several = ask(["distill", npz, "--out", "x", "--network", "mlp(width=5), mlp(width=6)"])
    assert method(several).networks.architecture == OneOf((MLP(width=5), MLP(width=6)))  # type: ignore[attr-defined]


@pytest.fixture
def summary(folder: str, tmp_path: Path) -> dd.DataSummary:
    summary = dd.distill(dd.load_data(folder), dd.methods.random(ipc=1))
    summary.save(tmp_path / "summary")
    return summary


@pytest.mark.parametrize("option", EVALUATE)
def test_evaluate(
    summary: dd.DataSummary, ask: Callable[[list[str]], Asked], folder: str, tmp_path: Path, option: str
) -> None:
    differs_as_it_says(ask, ["evaluate", str(tmp_path / "summary"), "--data", folder], EVALUATE[option])


@pytest.mark.parametrize("option", VERIFY)
def test_verify(ask: Callable[[list[str]], Asked], folder: str, option: str) -> None:
    words = ["verify", "memory://somewhere", "--data", folder]
    assert ask(words).arguments == ("memory://somewhere", folder)
    differs_as_it_says(ask, words, VERIFY[option])


@pytest.mark.parametrize("option", REPORT)
def test_report(
    summary: dd.DataSummary, ask: Callable[[list[str]], Asked], folder: str, tmp_path: Path, option: str
) -> None:
    words = ["report", str(tmp_path / "summary"), "--data", folder, "--out", "page.html"]
    assert ask(words).arguments[0] == [tmp_path / "summary"] and ask(words).out == Path("page.html")
    differs_as_it_says(ask, words, REPORT[option])


@pytest.mark.parametrize("option", KERNEL)
def test_evaluate_by_kernel_regression(
    summary: dd.DataSummary, ask: Callable[[list[str]], Asked], folder: str, tmp_path: Path, option: str
) -> None:
    words = ["evaluate", str(tmp_path / "summary"), "--data", folder, "--protocol", "krr"]
    assert ask(words).name == "evaluate_kernel"
    differs_as_it_says(ask, words, KERNEL[option])


@pytest.mark.parametrize("option", EXPERTS)
def test_experts_train(ask: Callable[[list[str]], Asked], folder: str, option: str) -> None:
    words = ["experts", "train", folder, "--out", "experts"]
    assert ask(words).arguments[1] == Path("experts")
    differs_as_it_says(ask, words, EXPERTS[option])


@pytest.mark.parametrize("option", TEACHER)
def test_teacher_train(ask: Callable[[list[str]], Asked], folder: str, option: str) -> None:
    words = ["teacher", "train", folder, "--out", "teacher"]
    assert ask(words).arguments[1] == Path("teacher")
    differs_as_it_says(ask, words, TEACHER[option])


@pytest.mark.parametrize("option", CONTINUAL)
def test_continual_run(
    ask: Callable[[list[str]], Asked], monkeypatch: pytest.MonkeyPatch, folder: str, option: str
) -> None:
    import ddapps.continual

    def compare(*arguments: Any, **settings: Any) -> None:
        dd.distill(*arguments, **settings)

    monkeypatch.setattr(sys.modules[ddapps.continual.compare.__module__], "compare", compare)
    differs_as_it_says(ask, ["continual", "run", folder], CONTINUAL[option])


@pytest.mark.parametrize("option", FEDERATED)
def test_federated_run(
    ask: Callable[[list[str]], Asked], monkeypatch: pytest.MonkeyPatch, folder: str, option: str
) -> None:
    import ddapps.federated

    def compare(*arguments: Any, **settings: Any) -> None:
        dd.distill(*arguments, **settings)

    monkeypatch.setattr(sys.modules[ddapps.federated.compare.__module__], "compare", compare)
    differs_as_it_says(ask, ["federated", "run", folder], FEDERATED[option])


def test_teachers_reach_the_method_and_the_protocol(
    summary: dd.DataSummary, ask: Callable[[list[str]], Asked], folder: str, tmp_path: Path
) -> None:
    target = dd.load_data(folder)
    taught = tuple(
        train_teacher(
            target, tmp_path / name, network="convnet(width=2,norm=batch)", training=Training(epochs=1), seed=seed
        )
        for seed, name in enumerate("ab")
    )
    given = ["--teacher", f"{tmp_path / 'a'},{tmp_path / 'b'}"]
    asked = ask(["distill", folder, "--out", "x", "--method", "sre2l", "--ipc", "1", *given])
    networks, labels = method(asked).networks, method(asked).labels
    assert networks.teachers == labels.teachers == taught  # type: ignore[attr-defined, union-attr]
    hard = ask(["distill", folder, "--out", "x", "--method", "rded", "--ipc", "1", "--labels", "hard", *given])
    assert method(hard).labels is None
    assert ask(["evaluate", str(tmp_path / "summary"), "--data", folder, *given]).teachers == taught
    assert ask(["evaluate", str(tmp_path / "summary"), "--data", folder]).teachers == ()


OF_SOME_DATA = ("--target", "--task", "--setting", "--embeddings", "--length")

ELSEWHERE = {
    "distill": {
        "--teacher",
        "--experts",
        "--out",
        "--overwrite",
        "--debug",
        "--help",
        "--target",
        "--task",
        "--ratio",
        "--setting",
        "--users",
        "--embeddings",
        "--length",
    },
    "evaluate": {
        "--teacher",
        "--data",
        "--no-keep",
        "--sizes",
        "--json",
        "--debug",
        "--help",
        *OF_SOME_DATA,
    },
    "experts train": {"--out", "--help", *OF_SOME_DATA},
    "teacher train": {"--out", "--help", *OF_SOME_DATA},
    "federated run": {"--json", "--png", "--debug", "--help", *OF_SOME_DATA},
    "show": {"--out", "--debug", "--help"},
    "export": {"--form", "--out", "--debug", "--help"},
    "continual run": {"--json", "--png", "--debug", "--help"},
    "report": {"--teacher", "--data", "--out", "--json", "--debug", "--help", *OF_SOME_DATA},
    "verify": {
        "--teacher",
        "--data",
        "--json",
        "--debug",
        "--help",
        *OF_SOME_DATA,
    },
}
"""Options whose effect other tests of this folder see.

They leave something behind, or are needed.
"""


def options_of(command: str) -> set[str]:
    parser: argparse.ArgumentParser = build_parser()
    for word in command.split():
        (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = commands.choices[word]
    return {o for action in parser._actions for o in action.option_strings if o.startswith("--")}


def test_every_option_is_among_them() -> None:
    here = {
        "distill": set(DISTILL),
        "evaluate": {*EVALUATE, *KERNEL},
        "experts train": set(EXPERTS),
        "teacher train": set(TEACHER),
        "federated run": set(FEDERATED),
        "show": set(),
        "export": set(),
        "verify": set(VERIFY),
        "report": set(REPORT),
        "continual run": set(CONTINUAL),
    }
    for command, elsewhere in ELSEWHERE.items():
        assert options_of(command) == here[command] | elsewhere, command


def test_what_evaluate_prints_and_writes_is_what_the_library_returns(
    npz: str,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = dd.load_data(npz)
    summary = dd.distill(target, dd.methods.random(ipc=2))
    out, written = str(summary.save(tmp_path / "summary")), tmp_path / "deep" / "report.json"
    words = ["--networks", "mlp(width=8),mlp(width=4)", "--runs", "1", "--seed", "3", "--precision", "fp64"]
    report = dd.evaluate(
        summary,
        dd.load_data(npz, normalisation=summary.spec.normalisation),
        networks=["mlp(width=8)", "mlp(width=4)"],
        protocol="dc",
        runs=1,
        seed=3,
        precision="fp64",
    )
    command = ["evaluate", out, "--data", npz, "--protocol", "dc", "--quiet", *words]
    assert main([*command, "--json", str(written)]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and all(f"{result.mean:.2f}" in printed.out for result in report.results)

    def without_times(found: dict[str, Any]) -> dict[str, Any]:
        results = [{k: v for k, v in result.items() if k != "seconds"} for result in found["results"]]
        return json.loads(json.dumps({**found, "results": results}))  # type: ignore[no-any-return]

    assert without_times(json.loads(written.read_text())) == without_times(report.to_json())


def test_a_teacher_that_no_part_follows_is_said_to_be_unused(
    ask: Callable[[list[str]], Asked], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(["distill", folder, "--out", "x", "--method", "dm", "--ipc", "1", "--teacher", folder])
    assert "dm follows no teacher" in capsys.readouterr().err
