"""``ddapps show``: the examples of a summary, class by class."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import ddcore as dd
from ddapps.cli.kinds import file, summary
from ddapps.cli.parser import add_command
from ddcore.summary import as_text, save_picture


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(commands, "show", "show the examples of a summary", "ddapps show out/dm --out out/dm.png")
    parser.add_argument(
        "summary", type=summary, metavar="DIR", help="a summary, as 'ddapps distill' wrote it, or its address"
    )
    parser.add_argument(
        "--out",
        type=file,
        metavar="FILE",
        help="write a picture (.png, .jpg or .webp): images in true colours, a row per class; a graph, nodes coloured by class",
    )
    return parser


def run(options: argparse.Namespace) -> None:
    """Describe the summary; draw it as a picture, or with characters where no file is given."""
    summary = dd.DataSummary.load(options.summary)
    if options.out is not None:
        save_picture(summary, options.out)
    print(summary)
    print(f"{summary.ipc} per class, {summary.compressed_bytes()} bytes after lossless compression")
    if options.out is None:
        sys.stdout.write(as_text(summary) + "\n")
        return
    print(options.out)
