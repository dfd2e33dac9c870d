"""``ddapps report``: one page on summaries, which opens from a disk."""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from ddapps.cli.arguments import (
    DATA_HELP,
    add_data_options,
    add_device_options,
    add_teacher_option,
    add_worker_options,
    data_words,
    load,
    say,
    teachers_of,
    workers_of,
    write_json,
)
from ddapps.cli.kinds import json_file, page_file, summary, whole
from ddapps.cli.parser import add_command
from ddcore.evaluation import PAPER, PROTOCOLS
from ddcore.settings import split_names


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(
        commands,
        "report",
        "make one page on summaries, to look at",
        "ddapps report out/dm out/random --data digits --out out/report.html",
    )
    parser.add_argument(
        "summaries", type=summary, nargs="+", metavar="DIR", help="summaries, as 'ddapps distill' wrote them"
    )
    parser.add_argument("--data", required=True, metavar="DATA", help=f"whose test split decides: {DATA_HELP}")
    parser.add_argument("--out", required=True, type=page_file, metavar="FILE.html", help="where the page is written")
    parser.add_argument(
        "--networks",
        help="comma-separated, as in evaluate; of several the page compares how a summary transfers (default: the protocol's)",
    )
    parser.add_argument(
        "--protocol", default="quick", help=f"one of {', '.join([*PROTOCOLS, PAPER])}, as in evaluate (default: quick)"
    )
    parser.add_argument("--runs", type=whole(), default=5, help="networks per architecture (default: 5)")
    parser.add_argument("--seed", type=whole(0), default=0, help="of selections, weights and order (default: 0)")
    add_teacher_option(parser, "protocols fixed-soft and teacher")
    add_worker_options(parser, "runs")
    parser.add_argument(
        "--json", type=json_file, metavar="FILE", help="also write what the page tells as one JSON object"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_device_options(parser)
    add_data_options(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    """Evaluate, make the page, and say where it lies."""
    page = dd.report(
        options.summaries,
        lambda spec: load(options, options.data, like=spec),
        networks=None if options.networks is None else split_names(options.networks),
        protocol=options.protocol,
        runs=options.runs,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        teachers=teachers_of(options),
        workers=workers_of(options),
        named=data_words(options),
        out=options.out,
        progress=None if options.quiet else say,
    )
    if options.json is not None:
        write_json(page.to_json(), options.json)
    if options.json != "-":
        print(page.as_text())
        print(options.out)
