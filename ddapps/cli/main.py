"""Entry point of ``ddapps``: parses the words, runs the command, prints an error as one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import cache

from ddapps.cli import (
    continual,
    distill,
    evaluate,
    experts,
    export,
    federated,
    methods,
    nas,
    privacy,
    report,
    show,
    teacher,
    verify,
)
from ddapps.cli.options import chosen, named_by
from ddapps.cli.parser import Parser
from ddapps.cli.warned import in_one_line
from ddcore import __version__
from ddcore.errors import (
    BudgetError,
    DistillationError,
    InputDataError,
    OutputExistsError,
    SettingsError,
    UnknownNameError,
    UnsupportedError,
)
from ddcore.ground import launched

COMMANDS = (
    distill,
    evaluate,
    verify,
    report,
    show,
    export,
    methods,
    experts,
    teacher,
    privacy,
    continual,
    federated,
    nas,
)

WRONG_WORDS = (BudgetError, InputDataError, OutputExistsError, SettingsError, UnknownNameError, UnsupportedError)
"""What another command, or other data, would spare: nothing was begun."""

DESCRIPTION = "Distill a dataset into a tiny synthetic one, and evaluate it honestly."
FIRST_STEPS = f"""{DESCRIPTION}

  ddapps distill digits --method dm --ipc 10 --out out/dm   make a summary
  ddapps evaluate out/dm --data digits                      train on it, test it
  ddapps report out/dm --data digits --out out/dm.html      look at it
  ddapps methods                                            what can make one

ddapps --help lists all commands, ddapps COMMAND --help explains one.
"""


@cache
def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="ddapps",
        description=DESCRIPTION,
        epilog="Example: ddapps distill digits --method dm --ipc 10 --out out/dm",
    )
    parser.add_argument("--version", action="version", version=f"ddapps {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = command.add_parser(commands)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0 on success alone, 2 for wrong words, and 1 for whatever else went wrong. Words that
    cannot even be parsed raise `SystemExit`, with 2 too.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        sys.stdout.write(FIRST_STEPS)
        return 0
    parser = build_parser()
    options = parser.parse_args(words)
    try:
        if launched().size > 1 and options.command != "distill":
            raise SettingsError(f"{options.command} is not shared out among processes of torchrun: start it alone")
        with in_one_line(_named(options)):
            options.run(options)
        sys.stdout.flush()
    except DistillationError as error:
        message = error.said(named_by(chosen(parser, options)))
        return _failed(options, error, " ".join(message.split()), 2 if isinstance(error, WRONG_WORDS) else 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _failed(options, error, f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except Exception as error:
        return _failed(
            options, error, f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (see --debug)"
        )
    except KeyboardInterrupt:
        goes_on = (
            "; the same words go on from its checkpoint, if it got that far"
            if "distill" in (options.command, getattr(options, "action", ""))
            else ""
        )
        print(f"ddapps {options.command}: interrupted{goes_on}", file=sys.stderr)
        return 130
    return 0


def _failed(options: argparse.Namespace, error: Exception, message: str, code: int = 1) -> int:
    if options.debug:
        raise error
    print(f"{_named(options)}: error: {message}", file=sys.stderr)
    return code


def _named(options: argparse.Namespace) -> str:
    return " ".join(filter(None, ("ddapps", options.command, getattr(options, "action", ""))))


if __name__ == "__main__":
    sys.exit(main())
