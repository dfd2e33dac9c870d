"""One rule says the preset, whoever builds a method."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddapps.cli.distill import method_from
from ddapps.cli.main import build_parser
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.methods import METHODS, build_method, compose, presets

SAID = "preset 'cpu' on this processor"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("name", METHODS)
def test_a_processor_takes_cpu_and_a_gpu_paper_unless_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build = METHODS[name].build
    for available, usual in ((False, "cpu"), (True, "paper")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert build(ipc=1).describe() == build(ipc=1, preset=usual).describe()
        assert build(ipc=1).preset == build_method(name, ipc=1).preset == usual
        if METHODS[name].build(ipc=1, preset="cpu").matching is not None:
            pair = compose(name, "pixels(labels='soft')" if name == "datm" else "pixels", ipc=1)
            assert pair.preset == usual
    with pytest.raises(UnknownNameError, match="choose one of cpu, paper"):
        build(ipc=1, preset="gpu")


def test_the_command_line_follows_the_same_rule(few_digits: dd.TargetData, gpu: None) -> None:
    def chosen(*words: str) -> str:
        parsed = build_parser().parse_args(["distill", "digits", "--out", "x", "--quiet", *words])
        return method_from(parsed, few_digits).preset

    assert chosen() == dd.methods.dm().preset == "paper"
    assert chosen("--device", "cpu") == "cpu" and chosen("--device", "cpu", "--preset", "paper") == "paper"


def test_the_choice_is_said_once_and_what_was_asked_for_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ddcore")
    presets._say_once.cache_clear()
    dd.methods.random(ipc=1)
    dd.methods.dm(ipc=1, preset="cpu")
    dd.methods.tesla(ipc=1, preset="paper")
    assert caplog.messages == []
    dd.methods.tesla(ipc=1)
    dd.methods.dm(ipc=1)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(SAID)


def test_a_name_stands_for_the_method_with_settings_for_such_data(few_digits: dd.TargetData, tmp_path: Path) -> None:
    small = {"steps": 1, "networks": "convnet(width=4)"}
    named = dd.distill(few_digits, "dm", ipc=1, **small)  # type: ignore[arg-type]
    built = dd.distill(few_digits, dd.methods.dm(ipc=1, preset="cpu"), **small)  # type: ignore[arg-type]
    assert named.sha256() == built.sha256() and named.record["method"] == built.record["method"]
    asked = dd.distill(few_digits, "dm", preset="paper", **small)  # type: ignore[arg-type]
    assert (asked.record["method"]["preset"], asked.ipc) == ("paper", 10)
    table = dd.load_data("wine", modality="tables")
    assert dd.distill(table, "random", ipc=2).parts[0].factorization.name == "rows"
    with pytest.raises(UnknownNameError, match="unknown method 'dmm'"):
        dd.distill(few_digits, "dmm")
    for words in ({"ipc": 1}, {"preset": "cpu"}):
        with pytest.raises(SettingsError, match="of a method given by its name: dm was built with its own"):
            dd.distill(few_digits, dd.methods.dm(preset="cpu"), steps=0, **words)  # type: ignore[arg-type]
