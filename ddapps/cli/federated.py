"""``ddapps federated``: summaries instead of weights, compared in bytes."""

from __future__ import annotations

import argparse
from typing import Any

from ddapps.cli.arguments import (
    DATA_HELP,
    act,
    add_actions,
    add_data_options,
    add_device_option,
    add_json_option,
    add_set_option,
    load,
    parse_settings,
    present,
    say,
)
from ddapps.cli.kinds import file, folder, number, whole
from ddapps.cli.parser import add_command

run = act

UPDATES = 1000
"""Of training on the union, where neither updates nor epochs are named."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the commands' words."""
    return add_actions(
        commands, "federated", "federated learning from summaries: compare with federated averaging, in bytes", _add_run
    )


def _add_run(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "run",
        "a form of exchange and baselines on the same partitions, in one process",
        "ddapps federated run digits --clients 10 --method dm --ipc 10",
    )
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    parser.add_argument("--clients", type=whole(), default=10, help="parts of the data (default: 10)")
    parser.add_argument("--alpha", type=number(), default=0.1, help="of the Dirichlet distribution (default: 0.1)")
    parser.add_argument(
        "--form",
        default="one-shot",
        help="one-shot, dosfl, fedd3, feddm, fedmk, goetz-tewari or fedsynth (default: one-shot)",
    )
    parser.add_argument(
        "--method",
        default="",
        help="one or several, comma-separated: names, matching/factorization, or auto, which is chosen on a validation split for --bytes; the first row is the first one (default: the form's own)",
    )
    parser.add_argument("--ipc", type=whole(), default=10, help="examples per class and client, at most (default: 10)")
    parser.add_argument(
        "--bytes",
        default="",
        metavar="B",
        help="that the summaries of all clients store together, such as 20kB, instead of --ipc: each client has an equal share",
    )
    parser.add_argument("--rounds", type=whole(), default=1, help="of the form (default: 1)")
    parser.add_argument(
        "--baselines",
        default="fedavg,random,herding",
        help="comma-separated: fedavg, fedavg-8bit, fedprox, fedprox-8bit (Flower's own, tuned on a validation split); in the first row's "
        "bytes selection rules, random-smaller, herding-smaller, k_center-smaller (images made smaller), ensemble (a model of each client); "
        "everything (default: fedavg,random,herding)",
    )
    parser.add_argument(
        "--baseline-rounds", type=whole(), default=100, help="most rounds of baselines that send weights (default: 100)"
    )
    parser.add_argument("--seeds", type=whole(), default=3, help="partitions (default: 3)")
    parser.add_argument("--seed", type=whole(0), default=0, help="the first of the seeds (default: 0)")
    parser.add_argument(
        "--network", default="convnet(width=16)", help="of clients and server (default: convnet(width=16))"
    )
    parser.add_argument("--protocol", default="dc", help="of training on the union: dc, dsa or quick (default: dc)")
    parser.add_argument(
        "--updates",
        type=whole(0),
        help=f"of training on the union, of 64 examples each; 0: the protocol's epochs (default: {UPDATES}, or what --set epochs=N says)",
    )
    parser.add_argument("--steps", type=whole(), default=0, help="outer steps of methods, instead of the preset's")
    parser.add_argument("--max-seconds", type=number(), default=0.0, metavar="S", help="of each client's distillation")
    add_set_option(parser, "any other setting of docs/federated.md, such as weighting=counts; may be repeated")
    parser.add_argument("--normalisation", help="standard, none, zca (default: standard)")
    parser.add_argument(
        "--tune-auto",
        action="store_true",
        help="choose auto by whole runs on a validation split, as baselines are tuned (default: the server's validation split alone)",
    )
    parser.add_argument(
        "--workers",
        type=whole(),
        help="processes that share partitions and trials (default: one per core on a processor, one on a GPU)",
    )
    add_device_option(parser)
    add_json_option(parser)
    parser.add_argument("--png", metavar="FILE", type=file, help="draw accuracy against bytes")
    parser.add_argument(
        "--out", metavar="DIR", type=folder, help="keep results; the same words go on from there after a crash"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_data_options(parser)
    parser.set_defaults(act=_run)
    return parser


def _run(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from ddapps.federated import Settings
    from ddapps.federated.compare import compare
    from ddapps.federated.plot import plot
    from ddapps.federated.settings import PREFIX, equal_share
    from ddapps.pictures import as_png
    from ddapps.side_by_side import usual_count
    from ddcore.settings import split_names

    if options.png is not None:
        as_png(options.png)
    first, *others = split_names(options.method) if options.method else [""]
    named = parse_settings(options.set)
    if options.updates is None:
        options.updates = 0 if "epochs" in named else UPDATES
    words = ("form", "ipc", "rounds", "seed", "network", "protocol", "updates", "steps", "device")
    settings: dict[str, Any] = {name: getattr(options, name) for name in words}
    settings["bytes"] = equal_share(options.bytes, options.clients) if options.bytes else ""
    settings |= {"method": first, "max-seconds": options.max_seconds, **named}
    shared = Settings.from_config({PREFIX + name: value for name, value in settings.items()})
    found = compare(
        load(options, options.data, normalisation=options.normalisation),
        shared,
        clients=options.clients,
        alpha=options.alpha,
        baselines=split_names(options.baselines),
        variants={name: replace(shared, method=name) for name in others},
        seeds=options.seeds,
        rounds=options.baseline_rounds,
        tune_auto=options.tune_auto,
        workers=options.workers or usual_count(options.device),
        directory=options.out,
        progress=None if options.quiet else say,
    )
    present(found, options, plot)
