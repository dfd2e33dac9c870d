"""``ddapps verify``: is what a stored summary says of itself true?"""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from ddapps.cli.arguments import (
    DATA_HELP,
    add_data_options,
    add_device_option,
    add_json_option,
    add_teacher_option,
    add_worker_options,
    loading,
    say,
    teachers_of,
    workers_of,
    write_json,
)
from ddapps.cli.kinds import summary
from ddapps.cli.parser import add_command
from ddcore.errors import ClaimError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(
        commands, "verify", "measure a summary again: is its card true?", "ddapps verify out/dm --data digits"
    )
    parser.add_argument(
        "summary", type=summary, metavar="DIR", help="a summary, as 'ddapps distill' wrote it, or its address"
    )
    parser.add_argument("--data", required=True, metavar="DATA", help=f"that it was made of: {DATA_HELP}")
    add_teacher_option(parser, "kept evaluations by protocols fixed-soft and teacher")
    add_worker_options(parser, "runs")
    add_device_option(parser)
    add_json_option(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_data_options(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    """Verify, and say of each claim whether it holds."""
    found = dd.verify(
        options.summary,
        options.data,
        teachers=teachers_of(options),
        device=options.device,
        workers=workers_of(options),
        progress=None if options.quiet else say,
        **loading(options),
    )
    if options.json != "-":
        print(found)
    if options.json is not None:
        write_json(found.to_json(), options.json)
    if not found.holds:
        amiss = "; ".join(str(check) for check in found.failed)
        raise ClaimError(f"{options.summary} says what is not true: {amiss}. Do not rely on it")
    if found.unchecked:
        left = "; ".join(str(check) for check in found.unchecked)
        raise ClaimError(f"{options.summary}: nothing untrue was found, but not all was checked: {left}")
