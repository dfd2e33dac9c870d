"""Keyword arguments of the library, as options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ddcore.errors import Setting

DESTINATIONS = {"corrupt": "skip_corrupt", "mirror": "no_mirror"}
"""Where an option is kept whose name is another than the argument's."""


def named_by(parser: argparse.ArgumentParser) -> Callable[[Setting], str]:
    """Return how a command says a setting: its option, with the value to give it.

    What it has no option for is left to Python.
    """
    known = {action.dest: action for action in parser._actions}

    def named(setting: Setting) -> str:
        action = known.get(DESTINATIONS.get(setting.name, setting.name))
        if action is None:
            return f"{setting} (in Python)"
        value = "" if action.nargs == 0 else action.metavar or action.dest.upper()
        return f"{action.option_strings[-1]} {value if setting.value is None or not value else setting.value}".rstrip()

    return named


def chosen(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.ArgumentParser:
    """Return the parser of the command, and of its action, that was given."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return chosen(action.choices[getattr(options, action.dest)], options)
    return parser
