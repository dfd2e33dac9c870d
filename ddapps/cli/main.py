"""Entry point of ``ddapps``: parses the words, runs the command, prints an error as one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ddapps.cli import continual, distill, evaluate, experts, federated, methods, nas, privacy, report, show, teacher
from ddcore import __version__
from ddcore.errors import DistillationError, SettingsError
from ddcore.ground import launched

COMMANDS = (distill, evaluate, report, show, methods, experts, teacher, privacy, continual, federated, nas)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="ddapps", description="Distill a dataset into a tiny synthetic one, and evaluate it honestly."
    )
    parser.add_argument("--version", action="version", version=f"ddapps {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for command in COMMANDS:
        sub = command.add_parser(commands)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 on success alone."""
    options = build_parser().parse_args(arguments)
    try:
        if launched().size > 1 and options.command != "distill":
            raise SettingsError(f"{options.command} is not shared out among processes of torchrun: start it alone")
        options.run(options)
        sys.stdout.flush()
    except DistillationError as error:
        return _failed(options, error, " ".join(str(error).split()))
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


def _failed(options: argparse.Namespace, error: Exception, message: str) -> int:
    if options.debug:
        raise error
    print(f"ddapps {options.command}: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
