"""``ddapps methods``: each method, its family, factorization, paper and measurements."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import Any

from ddapps.cli.arguments import add_json_option, write_json
from ddapps.cli.parser import add_command
from ddcore.methods import METHODS

COLUMNS, INDENT = 100, "    "
"""Of the list: its width, and what lines below a method begin with."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(commands, "methods", "list the methods", "ddapps methods")
    add_json_option(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    """List the methods."""
    entries = [method.describe() for method in METHODS.values()]
    if options.json != "-":
        rows = [("method", "family", "factorization", "networks", "steps, paper/cpu")]
        for e in entries:
            steps = f"{e['steps']['paper']}/{e['steps']['cpu']}"
            rows.append((e["name"], e["family"], e["factorization"], e["networks"], steps))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        print(lines[0])
        for line, entry in zip(lines[1:], entries, strict=True):
            print(line)
            print(
                fill(
                    f"{entry['paper']}; measured: {entry['measured']}",
                    COLUMNS,
                    initial_indent=INDENT,
                    subsequent_indent=INDENT,
                )
            )
    if options.json is not None:
        write_json({"methods": entries}, options.json)
