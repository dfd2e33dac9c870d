"""Help fits a terminal of 80 columns, and its example is a command that parses."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddapps.cli import kinds
from ddapps.cli.main import build_parser, main
from ddcore.methods import METHODS


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


COMMANDS = [parser.prog for parser in parsers(build_parser())]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_and_ends_with_an_example_that_parses(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    for place in ("out/dm", "out/random", "out/psg", "out/proxy"):
        Path(place).mkdir(parents=True)
        (Path(place) / kinds.CONFIG).touch()
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command)[1:], "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert stopped.value.code == 0 and max(map(len, lines)) <= 80
    title, example = lines[-1].split(": ", 1)
    assert title == "Example" and example.startswith(command)
    options = build_parser().parse_args(shlex.split(example)[1:])
    assert callable(options.run)


def test_the_first_steps_are_commands_that_parse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    steps = [line.split("   ")[0].strip() for line in said.splitlines() if line.startswith("  ddapps ")]
    monkeypatch.chdir(tmp_path)
    Path("out/dm").mkdir(parents=True)
    Path("out/dm", kinds.CONFIG).touch()
    parsed = [build_parser().parse_args(shlex.split(step)[1:]).command for step in steps]
    assert parsed == ["distill", "evaluate", "report", "methods"] and max(map(len, said.splitlines())) <= 80


def test_the_version_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    from ddcore import __version__

    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"ddapps {__version__}\n")


def test_the_list_of_methods_fits_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["method", *METHODS]
