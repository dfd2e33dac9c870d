"""``ddapps evaluate``: train fresh networks on a summary, test them on held-out real data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ddcore as dd
from ddapps.cli.arguments import (
    DATA_HELP,
    add_data_options,
    add_device_options,
    add_json_option,
    add_teacher_option,
    add_worker_options,
    load,
    say,
    teachers_of,
    workers_of,
    write_json,
)
from ddapps.cli.kinds import number, summary, whole
from ddapps.cli.parser import add_command
from ddcore.errors import SettingsError, SummaryFormatError
from ddcore.evaluation import (
    PAPER,
    PROTOCOLS,
    Beside,
    as_protocol,
    keep_evaluation,
    labelled_alike,
    random_beside,
    recorded_protocol,
    references,
)
from ddcore.parts import ARCHITECTURES, LEARNERS
from ddcore.settings import split_names


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(
        commands, "evaluate", "measure what networks learn from a summary", "ddapps evaluate out/dm --data digits"
    )
    parser.add_argument(
        "summary", type=summary, metavar="DIR", help="a summary, as 'ddapps distill' wrote it, or its address"
    )
    parser.add_argument("--data", required=True, metavar="DATA", help=f"whose test split decides: {DATA_HELP}")
    parser.add_argument(
        "--networks",
        help=f"comma-separated, with settings in brackets: {', '.join([*ARCHITECTURES, *LEARNERS])} (default: the protocol's, mostly convnet; of interactions learners, also on all data)",
    )
    parser.add_argument(
        "--protocol",
        default="quick",
        help=f"one of {', '.join(PROTOCOLS)} (default: quick); paper: that of the summary's method; krr: kernel regression instead of networks",
    )
    parser.add_argument(
        "--kernels", help="of krr: ntk, nngp, with settings in brackets: 'ntk(layers=conv,depth=2)' (default: ntk)"
    )
    parser.add_argument(
        "--ridge", type=number(ends=True), help="of krr, relative to the kernel's diagonal (default: 1e-6)"
    )
    parser.add_argument("--runs", type=whole(), default=5, help="networks per architecture (default: 5)")
    add_teacher_option(parser, "protocols fixed-soft and teacher")
    add_worker_options(parser, "runs")
    parser.add_argument("--seed", type=whole(0), default=0, help="of weights, order and augmentation (default: 0)")
    parser.add_argument(
        "--sizes",
        action="store_true",
        help="report bytes too, as stored and after lossless compression, beside those of the original (which takes minutes for large data)",
    )
    add_json_option(parser)
    parser.add_argument(
        "--no-keep",
        action="store_true",
        help="do not keep the report in DIR (evaluations.json, and a table in its card)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_device_options(parser)
    add_data_options(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    """Evaluate and report."""
    summary = dd.DataSummary.load(options.summary)
    target = load(options, options.data, like=summary.spec)
    report, random = _reports(options, summary, target)
    if not options.no_keep:
        _keep(options.summary, summary, target, report)
    found = report.to_json()
    whole = _references(options, target)
    if whole is not None:
        found["full_data"] = whole.to_json()
    if random is not None:
        found["random"] = random.to_json()
        found["over_random"] = Beside(report.protocol, report, random).over_random()
    if options.sizes:
        found["storage"] = dd.storage(summary, target, compress_original=True).to_json()
    if options.json != "-":
        print(report)
        for other in (whole, random):
            if other is not None:
                print(other)
        if options.sizes:
            print(_storage_text(found["storage"]))
    if options.json is not None:
        write_json(found, options.json)


def _keep(directory: str, summary: dd.DataSummary, target: dd.TargetData, report: dd.evaluation.Report) -> None:
    """Keep the report with the summary. Where that cannot be done, the report is none the worse."""
    try:
        keep_evaluation(directory, summary, target, report)
    except (OSError, SummaryFormatError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        say(f"this evaluation is not kept in {directory} ({reason}); --no-keep does not try")


def _reports(
    options: argparse.Namespace, summary: dd.DataSummary, target: dd.TargetData
) -> tuple[dd.evaluation.Report, dd.evaluation.Report | None]:
    """Return the report, and that of a random selection of as many bytes.

    The second is there where the protocol says what labels are.
    """
    regresses = _regresses(options.protocol, summary)
    _require_read(options, ("networks", "teacher") if regresses else ("kernels", "ridge"))
    if regresses:
        return _by_kernel(options, summary, target), None
    protocol, teachers = as_protocol(options.protocol, summary), teachers_of(options)
    if protocol.labels is None:
        return _by_networks(options, summary, target, protocol, teachers), None
    beside = random_beside(summary, target, seed=options.seed)
    pair = labelled_alike(summary, beside, protocol, teachers, seed=options.seed)
    plain = replace(protocol, labels=None)
    ours, random = (_by_networks(options, labelled, target, plain) for labelled in pair)
    return ours, random


def _references(options: argparse.Namespace, target: dd.TargetData) -> dd.evaluation.Report | None:
    """Return what learners reach on all real data, where such data have learners, none named."""
    learners = references(target.spec)
    if options.networks is not None or not learners:
        return None
    return dd.evaluate(
        target,
        target,
        networks=list(learners),
        runs=options.runs,
        device=options.device,
        progress=None if options.quiet else say,
    )


def _storage_text(sizes: dict[str, Any]) -> str:
    return (
        f"{sizes['stored']} bytes stored ({sizes['share']:.2%} of the original's {sizes['original']}); losslessly compressed "
        f"{sizes['compressed']} ({sizes['compressed'] / sizes['original_compressed']:.2%} of {sizes['original_compressed']})"
    )


def _regresses(protocol: str, summary: dd.DataSummary) -> bool:
    """Whether the protocol, or that of the summary's method, is kernel regression."""
    return protocol == "krr" or (protocol == PAPER and recorded_protocol(summary) == "krr")


def _require_read(options: argparse.Namespace, unread: Sequence[str]) -> None:
    """Refuse options that the protocol would not read."""
    given = [name for name in unread if getattr(options, name) is not None]
    if given:
        other = "--kernels" if "networks" in unread else "--networks"
        trains = "no network" if "networks" in unread else "networks, and no kernel"
        raise SettingsError(
            f"--{given[0]} means nothing under --protocol {options.protocol}, which takes {trains}: leave it "
            f"out, or say {other}"
        )


def _by_networks(
    options: argparse.Namespace,
    summary: dd.DataSummary,
    target: dd.TargetData,
    protocol: dd.evaluation.Protocol,
    teachers: tuple[dd.Teacher, ...] = (),
) -> dd.evaluation.Report:
    return dd.evaluate(
        summary,
        target,
        networks=None if options.networks is None else split_names(options.networks),
        protocol=protocol,
        runs=options.runs,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        teachers=teachers,
        workers=workers_of(options),
        progress=None if options.quiet else say,
    )


def _by_kernel(options: argparse.Namespace, summary: dd.DataSummary, target: dd.TargetData) -> dd.evaluation.Report:
    return dd.evaluate_kernel(
        summary,
        target,
        kernels=split_names(options.kernels or "ntk"),
        ridge=1e-6 if options.ridge is None else options.ridge,
        device=options.device,
    )
