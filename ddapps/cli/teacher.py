"""``ddapps teacher train``: a network on the real data, for methods and labels that follow it."""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from ddapps.cli.arguments import DATA_HELP, add_training_options, load, parse_settings, say
from ddapps.cli.parser import add_command
from ddcore.engine import TEACHING

EXAMPLE = "ddapps teacher train digits --out out/teacher"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(commands, "teacher", "train a teacher on the real data", EXAMPLE)
    actions = parser.add_subparsers(dest="action", required=True, metavar="train")
    train = add_command(actions, "train", "train one network on the real data, and keep its final weights", EXAMPLE)
    train.add_argument("data", metavar="DATA", help=DATA_HELP)
    train.add_argument(
        "--network", help="such as 'convnet(norm=batch)', which sre2l needs (default: convnet, of tables mlp)"
    )
    add_training_options(train, TEACHING.epochs, "the teacher is")
    return parser


def run(options: argparse.Namespace) -> None:
    """Train the teacher, or find it, and say how good it is."""
    target = load(options, options.data, normalisation=options.normalisation)
    training = dd.override(TEACHING, "epochs", options.epochs)
    for path, value in parse_settings(options.set).items():
        training = dd.override(training, path, value)
    teacher = dd.train_teacher(
        target,
        options.out,
        network=options.network,
        training=training,
        seed=options.seed,
        device=options.device,
        progress=None if options.quiet else say,
    )
    tested = ""
    if target.test is not None:
        scores = teacher.scores(target.test, target.spec, options.device)
        tested = ", " + ", ".join(f"test {name} {value:.2f}" for name, value in scores.items())
    spent = f"{teacher.nbytes} bytes, {teacher.record['seconds']:.0f} s of training"
    print(f"{teacher.architecture}: {spent}{tested} -> {options.out}")
