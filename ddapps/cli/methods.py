"""``ddapps methods``: every method, its family, factorization, paper, and what is measured of it."""

from __future__ import annotations

import argparse
from typing import Any

from ddapps.cli.arguments import write_json
from ddcore.methods import METHODS


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser: argparse.ArgumentParser = commands.add_parser("methods", help="list the methods")
    parser.add_argument("--json", metavar="FILE", help="write one JSON object to FILE; - is standard output")
    return parser


def run(options: argparse.Namespace) -> None:
    """List the methods."""
    entries = [method.describe() for method in METHODS.values()]
    if options.json != "-":
        print(f"{'method':<12} {'family':<14} {'factorization':<14} {'networks':<16} {'steps (paper/cpu)':<18} paper")
        for e in entries:
            steps = f"{e['steps']['paper']}/{e['steps']['cpu']}"
            print(
                f"{e['name']:<12} {e['family']:<14} {e['factorization']:<14} {e['networks']:<16} {steps:<18} {e['paper']}"
            )
            print(f"{'':<12} measured: {e['measured']}")
    if options.json is not None:
        write_json({"methods": entries}, options.json)
