"""``ddapps continual``: distilled memory and baselines on a class-incremental stream."""

from __future__ import annotations

import argparse
from typing import Any

from ddapps.cli.arguments import (
    IMAGES_HELP,
    act,
    add_actions,
    add_device_option,
    add_image_options,
    add_json_option,
    load,
    present,
    say,
)
from ddapps.cli.kinds import file, folder, number, whole
from ddapps.cli.parser import add_command
from ddcore.methods import METHODS

run = act


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the commands' words."""
    return add_actions(commands, "continual", "continual learning from distilled memory: compare with replay", _add_run)


def _add_run(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "run",
        "methods and baselines at equal stored bytes, on several orders of classes",
        "ddapps continual run digits --method dm --memory 1-per-class",
    )
    parser.add_argument("data", metavar="DATA", help=IMAGES_HELP)
    parser.add_argument(
        "--tasks", type=whole(), default=5, help="experiences that the classes are cut into (default: 5)"
    )
    parser.add_argument(
        "--method",
        default="dm",
        help=f"one or several, comma-separated, of {', '.join(METHODS)}; auto: chosen on the first experience (default: dm)",
    )
    parser.add_argument(
        "--memory",
        default="10-per-class",
        metavar="M",
        help="10-per-class, 200 (examples in all), 20kB or 650B-per-class; examples count as the bytes of real images (default: 10-per-class)",
    )
    parser.add_argument(
        "--baselines",
        default="random,herding,reservoir,class-balanced",
        help="comma-separated: selection rules, the same through the codec (random-codec), gdumb, png, jpeg (recalled as methods are); "
        "reservoir, class-balanced, experience-balanced, er-ace, der, sample-condensation, composite-memory (replayed); naive; all tuned on a "
        "validation split (default: random,herding,reservoir,class-balanced)",
    )
    parser.add_argument("--seeds", type=whole(), default=3, help="orders of classes (default: 3)")
    parser.add_argument("--seed", type=whole(0), default=0, help="the first of the seeds (default: 0)")
    parser.add_argument(
        "--network", default="convnet(width=16)", help="trained and distilled on (default: convnet(width=16))"
    )
    parser.add_argument("--protocol", default="dc", help="of recall: dc, dsa or quick (default: dc)")
    parser.add_argument(
        "--untuned-recall",
        action="store_true",
        help="recall by the protocol as it is (default: learning rate and updates are chosen on a validation split)",
    )
    parser.add_argument(
        "--final-only",
        action="store_true",
        help="recall and score after the last experience alone, in a part of the time (default: after each)",
    )
    parser.add_argument(
        "--tune-auto",
        action="store_true",
        help="choose auto by the accuracy at the end of the stream on the validation split (default: on the first experience)",
    )
    parser.add_argument(
        "--mixed",
        type=number(0, 1),
        metavar="SHARE",
        help="a further row for each method: random real images take this share of the memory",
    )
    parser.add_argument("--no-replay", action="store_true", help="leave out the rows of replay of methods")
    parser.add_argument("--steps", type=whole(), help="outer steps of methods, instead of the preset's")
    parser.add_argument(
        "--max-seconds",
        type=number(),
        metavar="S",
        help="of the distillations of each experience (default: 60 on a processor, no limit on a GPU)",
    )
    parser.add_argument(
        "--no-float32", action="store_true", help="leave out the first method's row in four bytes per number"
    )
    parser.add_argument(
        "--split", default="test", help="test, or validation: then a share of the training split is held out"
    )
    parser.add_argument("--normalisation", help="standard, none, zca (default: standard)")
    parser.add_argument(
        "--workers",
        type=whole(),
        help="processes that share orders and trials (default: one per core on a processor, one on a GPU)",
    )
    add_device_option(parser)
    add_json_option(parser)
    parser.add_argument("--png", metavar="FILE", type=file, help="draw the accuracy after each experience")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=folder,
        help="keep memories and outcomes; the same words go on from there after a crash",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_image_options(parser)
    parser.set_defaults(act=_run)
    return parser


def _run(options: argparse.Namespace) -> None:
    from ddapps.continual.compare import compare
    from ddapps.continual.plot import plot
    from ddapps.pictures import as_png
    from ddapps.side_by_side import usual_count

    if options.png is not None:
        as_png(options.png)
    validation = 0.2 if options.split == "validation" else 0.0
    found = compare(
        load(options, options.data, normalisation=options.normalisation, validation=validation),
        _names(options.method),
        tasks=options.tasks,
        memory=options.memory,
        baselines=_names(options.baselines),
        seeds=options.seeds,
        network=options.network,
        protocol=options.protocol,
        tune_recall=not options.untuned_recall,
        final_only=options.final_only,
        tune_auto=options.tune_auto,
        mixed=options.mixed,
        replay=not options.no_replay,
        steps=options.steps,
        max_seconds=options.max_seconds,
        float32=not options.no_float32,
        split=options.split,
        seed=options.seed,
        device=options.device,
        workers=options.workers or usual_count(options.device),
        directory=options.out,
        progress=None if options.quiet else say,
    )
    present(found, options, plot)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
