"""``ddapps experts train``: networks on the real data, for trajectory matching."""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from ddapps.cli.arguments import (
    DATA_HELP,
    add_training_options,
    add_worker_options,
    load,
    parse_settings,
    say,
    workers_of,
)
from ddapps.cli.kinds import whole
from ddapps.cli.parser import add_command
from ddcore.ground import counted

EXAMPLE = "ddapps experts train digits --count 10 --out out/experts"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(commands, "experts", "train experts for trajectory matching", EXAMPLE)
    actions = parser.add_subparsers(dest="action", required=True, metavar="train")
    train = add_command(
        actions, "train", "train networks on the real data; keep their weights after every epoch", EXAMPLE
    )
    train.add_argument("data", metavar="DATA", help=DATA_HELP)
    train.add_argument("--network", help="such as 'convnet(width=64)' (default: convnet, of tables mlp)")
    train.add_argument("--count", type=whole(), default=100, help="how many there shall be (default: 100)")
    train.add_argument(
        "--together", type=whole(), metavar="N", help="networks that take each step at once (default: what is faster)"
    )
    add_worker_options(train, "experts")
    add_training_options(train, 50, "the experts are")
    return parser


def run(options: argparse.Namespace) -> None:
    """Train what is missing, and say what there is."""
    target = load(options, options.data, normalisation=options.normalisation)
    training = dd.sources.ExpertTraining(epochs=options.epochs)
    for path, value in parse_settings(options.set).items():
        training = dd.override(training, path, value)
    buffer = dd.train_experts(
        target,
        options.out,
        network=options.network,
        training=training,
        count=options.count,
        seed=options.seed,
        device=options.device,
        together=options.together,
        workers=workers_of(options),
        progress=None if options.quiet else say,
    )
    print(
        f"{counted(len(buffer.present()), 'expert')} of {counted(buffer.epochs, 'epoch')}, {buffer.seconds:.0f} s of training -> {options.out}"
    )
