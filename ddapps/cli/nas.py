"""``ddapps nas``: proxy datasets, how they rank a space, and searches on them."""

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
from ddapps.cli.kinds import existing, folder, whole
from ddapps.cli.parser import add_command
from ddcore.errors import SettingsError

run = act

SPACE_HELP = (
    "convnet, nasbench201, with settings in brackets such as 'nasbench201(channels=4,cells=1)', or package.module:Class, an "
    "NNI ModelSpace of yours (default: convnet)"
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    return add_actions(
        commands, "nas", "proxy datasets for architecture search", _add_make_proxy, _add_rank, _add_search
    )


def _add_make_proxy(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "make-proxy",
        "distil a proxy dataset for a space, and measure how it ranks a sample of it",
        "ddapps nas make-proxy digits --method dm --out out/proxy",
    )
    _add_shared(parser)
    parser.add_argument(
        "--method", default="dm", help="a method, a selection rule such as random, or auto (default: dm)"
    )
    parser.add_argument("--ipc", type=whole(), default=10, help="examples per class (default: 10)")
    parser.add_argument(
        "--pool",
        type=whole(),
        default=20,
        help="architectures of the space that take turns in distillation (default: 20)",
    )
    parser.add_argument(
        "--score",
        help="what candidates are ranked by: accuracy, loss, area, training-loss (default: that of accuracy, loss and "
        "training-loss which agrees best with full training on the validation split)",
    )
    parser.add_argument("--sample", type=whole(3), default=20, help="architectures that are ranked (default: 20)")
    parser.add_argument(
        "--pilot",
        type=whole(3),
        help="other architectures, trained in full, that auto fits combined scores on (default: 10)",
    )
    _add_trainings(parser)
    parser.add_argument(
        "--out", type=folder, required=True, metavar="DIR", help="where it goes; the same words go on from there"
    )
    parser.set_defaults(act=_make_proxy)
    return parser


def _add_rank(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "rank",
        "compare proxies: how well does each rank a space?",
        "ddapps nas rank digits --sample 20 --proxies dm:10,random:10",
    )
    _add_shared(parser)
    parser.add_argument("--sample", type=whole(3), default=30, help="architectures (default: 30)")
    parser.add_argument(
        "--proxies",
        default="dm:10,random:10,early-stop:1",
        help="comma-separated: method:ipc, early-stop:epochs, combined:pilot, with settings in brackets: pool (architectures), network, "
        "epochs, averaged=True, score (accuracy, loss, area, training-loss); of combined: of, using (default: dm:10,random:10,early-stop:1)",
    )
    parser.add_argument(
        "--equal-cost",
        action="store_true",
        help="rank random images as well that cost as much as a proxy does, its making included",
    )
    parser.add_argument(
        "--truth",
        type=_truth,
        default="train",
        metavar="train|FILE",
        help="train: on the full data; or a table of accuracies, .npz (default: train)",
    )
    parser.add_argument(
        "--network", default="convnet(width=32)", help="what summaries are distilled on (default: convnet(width=32))"
    )
    _add_trainings(parser)
    parser.add_argument(
        "--top", default="1,5", help="values of k for precision and regret, comma-separated (default: 1,5)"
    )
    parser.add_argument("--png", type=folder, metavar="DIR", help="draw a scatter plot per proxy into this folder")
    parser.add_argument("--out", type=folder, metavar="DIR", help="keep results; the same words go on from there")
    parser.set_defaults(act=_rank)
    return parser


def _add_search(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "search",
        "search a space on a proxy dataset, then train the best on the full data",
        "ddapps nas search digits --proxy out/proxy --trials 20",
    )
    _add_shared(parser)
    parser.add_argument(
        "--proxy",
        type=existing("the folder that 'ddapps nas make-proxy --out' or 'ddapps distill --out' wrote"),
        required=True,
        metavar="DIR",
        help="what make-proxy or distill wrote",
    )
    parser.add_argument("--strategy", default="evolution", help="evolution or random (default: evolution)")
    parser.add_argument("--trials", type=whole(), default=50, help="candidates (default: 50)")
    parser.add_argument("--top", type=whole(), default=3, help="how many are trained on the full data (default: 3)")
    parser.add_argument("--epochs", type=whole(), help="of full training (default: as the evidence was made)")
    parser.add_argument("--out", type=folder, metavar="DIR", help="keep results; the same words go on from there")
    parser.set_defaults(act=_search)
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=IMAGES_HELP)
    parser.add_argument("--space", default="convnet", help=SPACE_HELP)
    parser.add_argument("--seed", type=whole(0), default=0, help="the first of the seeds (default: 0)")
    add_device_option(parser)
    add_json_option(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_image_options(parser)


def _add_trainings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--normalisation", help="standard, none, zca (default: standard)")
    parser.add_argument("--seeds", type=whole(), default=3, help="repetitions of all trainings (default: 3)")
    parser.add_argument("--epochs", type=whole(), help="of full training (default: 5)")
    parser.add_argument("--proxy-epochs", type=whole(), help="of training on a proxy (default: 30)")
    parser.add_argument("--steps", type=whole(), default=100, help="of distillation (default: 100)")
    parser.add_argument(
        "--workers",
        type=whole(0),
        default=0,
        help="processes; 0: one per core where Ray is installed, else 1 (default: 0)",
    )


def _trainings(options: argparse.Namespace) -> dict[str, Any]:
    from ddapps.nas import FULL, PROXY

    return {
        "sample": options.sample,
        "seeds": options.seeds,
        "seed": options.seed,
        "protocol": PROXY if options.proxy_epochs is None else PROXY.with_epochs(options.proxy_epochs),
        "full": FULL if options.epochs is None else FULL.with_epochs(options.epochs),
        "steps": options.steps,
        "device": options.device,
        "workers": options.workers,
        "progress": None if options.quiet else say,
    }


def _make_proxy(options: argparse.Namespace) -> None:
    from ddapps.nas import make_proxy

    if options.pilot is not None and options.method != "auto":
        raise SettingsError(f"--pilot is what --method auto fits on: leave it out with --method {options.method}")
    target = load(options, options.data, normalisation=options.normalisation)
    made = make_proxy(
        target,
        options.space,
        options.method,
        ipc=options.ipc,
        pool=options.pool,
        score=options.score,
        **({} if options.pilot is None else {"pilot": options.pilot}),
        directory=options.out,
        **_trainings(options),
    )
    present(made, options)


def _rank(options: argparse.Namespace) -> None:
    from ddapps.nas import plot, rank
    from ddapps.pictures import as_png

    if options.png is not None:
        as_png(options.png / "scatter.png")
    found = rank(
        load(options, options.data, normalisation=options.normalisation),
        options.space,
        options.proxies,
        truth=options.truth,
        network=options.network,
        top=_counts(options.top),
        equal_cost=options.equal_cost,
        directory=options.out,
        **_trainings(options),
    )
    present(found, options, plot)


def _truth(text: str) -> str:
    return text if text == "train" else str(existing("'train', or a table of accuracies, .npz")(text))


def _counts(text: str) -> list[int]:
    words = [word for word in text.split(",") if word.strip()]
    if not all(word.strip().isdecimal() for word in words):
        raise SettingsError(f"--top wants whole numbers such as 1,5, not {text!r}")
    return [int(word) for word in words]


def _search(options: argparse.Namespace) -> None:
    from ddapps.nas import search
    from ddapps.nas.dataset import open_proxy

    proxy = open_proxy(options.proxy, options.space)
    spec = proxy.summaries[0].spec
    target = load(options, options.data, like=spec)
    found = search(
        options.space,
        proxy.evaluator(target, seed=options.seed, device=options.device),
        strategy=options.strategy,
        trials=options.trials,
        top=options.top,
        full=proxy.full if options.epochs is None else proxy.full.with_epochs(options.epochs),
        seed=options.seed,
        directory=options.out,
        progress=None if options.quiet else say,
    )
    present(found, options)
