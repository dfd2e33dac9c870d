"""``ddapps export``: a summary as files that other libraries read."""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from ddapps.cli.kinds import file, summary
from ddapps.cli.parser import add_command
from ddcore.parts import MODALITIES, Export


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(
        commands,
        "export",
        "write a summary as files of other libraries",
        "ddapps export out/dm --form image-folder --out out/images",
    )
    parser.add_argument(
        "summary", type=summary, metavar="DIR", help="a summary, as 'ddapps distill' wrote it, or its address"
    )
    parser.add_argument("--form", required=True, metavar="FORM", help=_forms())
    parser.add_argument(
        "--out", required=True, type=file, metavar="PATH", help="a file or folder that is not there yet"
    )
    return parser


def _forms() -> str:
    files = {
        modality.name: [name for name, form in modality.forms().items() if isinstance(form, Export)]
        for modality in MODALITIES.values()
    }
    return "; ".join(f"{', '.join(names)} of {modality}" for modality, names in files.items() if names)


def run(options: argparse.Namespace) -> None:
    """Write it, and print the path."""
    print(dd.DataSummary.load(options.summary).export(options.out, options.form))
