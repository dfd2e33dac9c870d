"""A parser whose complaints are one line: what was given, what is allowed, what to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from ddcore.errors import did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser of a command, or of all."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print one line to standard error, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words. An unknown option is named before what is missing; a word too many after."""
        if self._subparsers is None:
            for word in args or ():
                self._require_known(word)
        found, more = super().parse_known_args(args, namespace)
        if more:
            self.error(f"{more[0]!r} is one word too many: leave it out, or put what has spaces in quotes")
        return found, more

    def _require_known(self, word: str) -> None:
        option, known = word.partition("=")[0], self._option_string_actions
        if option.startswith("--") and option != "--" and not any(name.startswith(option) for name in known):
            self.error(f"unknown option {option!r}{did_you_mean(option, known)}: leave it out, or choose another")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        commands = isinstance(action, argparse._SubParsersAction)
        raise argparse.ArgumentError(None if commands else action, _unknown(commands, value, action.choices))


def _unknown(command: bool, given: object, known: Iterable[object]) -> str:
    names = list(map(str, known))
    what = "unknown command" if command else "unknown"
    return f"{what} {given!r}{did_you_mean(given, names)}: choose one of {', '.join(names)}"


def add_command(commands: Any, name: str, does: str, example: str) -> argparse.ArgumentParser:
    """Add a command, or an action of one.

    Args:
        commands: what it is added to.
        name: of the command.
        does: what it does, in a few words.
        example: a line that runs.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=does, description=sentence(does), epilog=f"Example: {example}"
    )
    return parser


def sentence(words: str) -> str:
    """Return words as a sentence."""
    return f"{words[0].upper()}{words[1:]}."
