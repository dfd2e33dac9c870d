"""``ddapps distill``: from data to a summary on disk."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.cli.arguments import (
    DATA_HELP,
    add_data_options,
    add_device_options,
    add_set_option,
    add_teacher_option,
    load,
    parse_settings,
    say,
    teachers_of,
)
from ddapps.cli.choosing import AUTO, choose, codec, coded, described, was_chosen
from ddapps.cli.kinds import existing, folder, number, require_own, whole
from ddapps.cli.parser import add_command
from ddcore.callbacks import PROGRESS, SNAPSHOTS
from ddcore.engine import Callback
from ddcore.errors import DivergenceError, OutputExistsError, SettingsError
from ddcore.factorization import STORAGE
from ddcore.ground import launched, resolve_device
from ddcore.labels import KINDS, parse_labelling
from ddcore.methods import FAMILIES, METHODS, PRESETS, build_method, compose, settled_preset
from ddcore.parts import FACTORIZATIONS, parse_architecture
from ddcore.settings import split_names
from ddcore.training import HARD

CHECKPOINT = "checkpoint.safetensors"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's words."""
    parser = add_command(
        commands, "distill", "distill data into a summary", "ddapps distill digits --method dm --ipc 10 --out out/dm"
    )
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--method",
        help=f"one of {', '.join(METHODS)}; or {AUTO}: what serves best in --bytes, measured on validation data (default: dm)",
    )
    parser.add_argument(
        "--matching",
        metavar="M",
        help=f"instead of a method: a family ({', '.join(FAMILIES)}) or a method whose matching optimises --factorization",
    )
    parser.add_argument(
        "--factorization",
        metavar="F",
        help=f"what is stored: one of {', '.join(map(_dashed, FACTORIZATIONS))}, with settings such as 'latent-codes(decoders=3)'",
    )
    parser.add_argument(
        "--bytes",
        metavar="B",
        help="stored bytes, such as 2560 or 30kB, instead of --ipc: the largest sizes that fit",
    )
    parser.add_argument(
        "--codec",
        type=codec,
        metavar="RxL",
        help="store images of R rows on L levels, entropy-coded, such as 14x4, or on a palette, 16x8-colours; --bytes are compressed bytes then",
    )
    parser.add_argument(
        "--ratio",
        type=number(),
        metavar="R",
        help="synthetic nodes as a share of all nodes of a graph, such as 0.026, instead of --ipc",
    )
    parser.add_argument(
        "--users", type=whole(), metavar="N", help="synthetic users of interactions; another word for --ipc"
    )
    add_teacher_option(parser, "methods and --labels that follow one")
    parser.add_argument(
        "--labels",
        metavar="KIND",
        help=f"labels of the examples in the end: {', '.join(KINDS)}, with settings such as 'soft-per-view(epochs=10,storage=4bit)'; hard: class ids (default: the method's)",
    )
    parser.add_argument("--storage", choices=list(STORAGE), help="how numbers are stored, instead of the preset's way")
    add_run_options(parser)
    parser.set_defaults(ipc=None)
    parser.add_argument(
        "--snapshots",
        type=whole(),
        default=0,
        metavar="N",
        help="keep N evenly spread states in DIR/snapshots (default: 0)",
    )
    parser.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="write loss, time and pictures of the examples for TensorBoard"
    )
    parser.add_argument(
        "--normalisation",
        help="standard, none, zca, zca-unit, zca-standard, zca-uncentred, or 'zca-unit(regularisation=100)' (default: the method's in preset paper, else "
        "standard)",
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile feature extraction (needs a C++ compiler on a CPU)"
    )
    add_device_options(parser)
    add_data_options(parser)
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what a run of a method is told, but for data, method and device."""
    parser.add_argument(
        "--ipc",
        type=_ipc,
        default=10,
        help="examples per class; 0:1,7:10 says it per class id; clip:N takes N, or all that a smaller class has; total:N shares out N in all (default: 10)",
    )
    parser.add_argument("--preset", choices=PRESETS, help="settings (default: cpu on a processor, paper on a GPU)")
    parser.add_argument("--steps", type=whole(), help="outer steps, instead of the preset's")
    parser.add_argument("--max-seconds", type=number(), metavar="S", help="stop after this time")
    parser.add_argument(
        "--checkpoint-seconds",
        type=number(ends=True),
        default=30.0,
        metavar="S",
        help="least time between checkpoints (default: 30)",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of all random numbers (default: 0)")
    parser.add_argument(
        "--network",
        help="network to distill on, such as 'convnet(width=64)'; of several, each is drawn in turn at random",
    )
    add_set_option(parser, "override a setting, such as optimiser.learning_rate=0.5")
    parser.add_argument(
        "--experts",
        type=existing("the folder that 'ddapps experts train --out' wrote"),
        metavar="DIR",
        help="experts for trajectory matching (ddapps experts train); default: they are trained first",
    )
    parser.add_argument("--out", required=True, type=folder, metavar="DIR", help="where the summary is written")
    parser.add_argument("--overwrite", action="store_true", help="replace a summary that is there")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(options: argparse.Namespace) -> None:
    """Distill, save, and say where the result lies. A run that was cut short goes on."""
    together = launched()
    options.quiet = options.quiet or together.rank > 0
    require_own(options.out, options.overwrite)
    target = load(options, options.data, normalisation=options.normalisation)
    choice = None
    if options.method == AUTO:
        if not options.overwrite and was_chosen(options.out, target, options):
            if together.rank == 0:
                finished = dd.DataSummary.load(options.out)
                print(f"{finished} -> {options.out} (was finished already; --overwrite chooses again)")
            return
        choice = choose(options, target)
        if together.rank == 0:
            print(described(choice))
    method = method_from(options, target) if choice is None else choice.method.with_steps(options.steps)
    if options.normalisation is None and method.normalisation is not None:
        target = load(options, options.data, normalisation=method.normalisation)
        if not options.quiet:
            say(f"{target.name} is normalised by {method.normalisation}, as in the source of {method.name}")
    out: Path = options.out
    checkpoint, experts = out / CHECKPOINT, out / f"{CHECKPOINT}.experts"
    if options.overwrite:
        checkpoint.unlink(missing_ok=True)
        shutil.rmtree(experts, ignore_errors=True)
        _remove_observed(options)
    elif (out / "config.json").exists() and _is_complete(out, target, method, options):
        if together.rank == 0:
            print(f"{dd.DataSummary.load(out)} -> {out} (was finished already; --overwrite distills again)")
        return
    try:
        summary = dd.distill(
            target,
            method,
            seed=options.seed,
            device=options.device,
            precision=options.precision,
            max_seconds=options.max_seconds,
            checkpoint=checkpoint,
            checkpoint_seconds=options.checkpoint_seconds,
            callbacks=[] if together.rank > 0 else _observers(options),
            progress=not options.quiet,
            compile=options.compile,
            distributed=together.size > 1,
        )
    except DivergenceError as error:
        if together.rank > 0:
            raise
        told = error.saved_in(out / "last-good")
        checkpoint.unlink(missing_ok=True)
        raise told from error
    if together.rank > 0:
        return
    if choice is not None:
        summary = choice.recorded(summary)
    summary.save(out, overwrite=True)
    if summary.record["steps"] == method.steps:
        checkpoint.unlink(missing_ok=True)
    print(f"{summary} -> {out}")
    if experts.exists():
        spent = summary.record["experts"]["seconds"]
        print(
            f"its experts ({spent:.0f} s of training) lie in {experts}: use them again with --experts, or delete them"
        )


def _observers(options: argparse.Namespace) -> list[Callback]:
    """Return what looks on: the table of losses, and what else the options name."""
    found: list[Callback] = [dd.callbacks.CSVLog(options.out / PROGRESS)]
    if options.snapshots:
        found.append(dd.callbacks.Snapshots(options.out / SNAPSHOTS, options.snapshots))
    if options.tensorboard is not None:
        found.append(dd.callbacks.TensorBoard(options.tensorboard))
    return found


def _remove_observed(options: argparse.Namespace) -> None:
    """Remove what an earlier run was observed to do."""
    (options.out / PROGRESS).unlink(missing_ok=True)
    shutil.rmtree(options.out / SNAPSHOTS, ignore_errors=True)
    if options.tensorboard is not None:
        for events in options.tensorboard.glob("events.out.tfevents.*"):
            events.unlink()


def _ipc(text: str) -> dd.factorization.Ipc:
    """Return a number, a number per class id (``0:1,7:10``), ``clip:N`` or ``total:N``.

    The method says what is wrong with anything else.
    """
    if text.lstrip("-").isdecimal():
        return int(text)
    pairs = [pair.split(":") for pair in text.split(",")]
    if all(len(pair) == 2 and pair[0].isdecimal() and pair[1].isdecimal() for pair in pairs):
        return {int(class_id): int(number) for class_id, number in pairs}
    return text


def _with_nodes(target: dd.TargetData | dd.Spec) -> dd.TargetData:
    if not isinstance(target, dd.TargetData):
        raise SettingsError("--ratio reads how many nodes the data have: give --ipc")
    return target


def _of_users(target: dd.TargetData | dd.Spec, users: int) -> int:
    spec = target if isinstance(target, dd.Spec) else target.spec
    if not isinstance(spec, dd.interactions.InteractionSpec):
        raise SettingsError(f"--users is of interactions, the data are {spec.modality}: give --ipc")
    return users


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def method_from(options: argparse.Namespace, target: dd.TargetData | dd.Spec) -> dd.Method:
    """Return the method that the options name, with their settings.

    Sizes that depend on the data, or on its public facts, are those of this data.
    """
    preset = settled_preset(options.preset, options.device, say=False)
    words = getattr(options, "bytes", None)
    budget = None if words is None else dd.Budget.parse(words)
    ratio, users = getattr(options, "ratio", None), getattr(options, "users", None)
    words_for = {"--ipc": options.ipc, "--bytes": budget, "--ratio": ratio, "--users": users}
    given = [word for word, value in words_for.items() if value is not None]
    if len(given) > 1 and (budget, ratio, users) != (None, None, None):
        raise SettingsError(f"{' and '.join(given)} both say how much is stored: give one of them")
    if users is not None:
        options = argparse.Namespace(**vars(options) | {"ipc": _of_users(target, users)})
    if ratio is not None:
        options = argparse.Namespace(**vars(options) | {"ipc": dd.graphs.ipc_for_ratio(_with_nodes(target), ratio)})
    with_codec = getattr(options, "codec", None) is not None
    if with_codec:
        method = coded(options, target, budget)
    elif getattr(options, "matching", None) or getattr(options, "factorization", None):
        method = _composed(options, preset, target, budget)
    else:
        ipc, data = 10 if options.ipc is None else options.ipc, Path(options.data).stem
        name = options.method or "dm"
        method = build_method(
            name,
            ipc=ipc,
            preset=preset,
            data=data,
            target=target,
            budget=budget,
            storage=getattr(options, "storage", None),
            adjust=partial(_labelled, options=options),
        )
    if options.preset is None and preset == "cpu" and not options.quiet and not with_codec:
        say(f"preset 'cpu' for {method.name} on this processor; --preset paper takes the publication's settings")
    if options.network is not None:
        names = [parse_architecture(name) for name in split_names(options.network)]
        method = method.on_networks(names[0] if len(names) == 1 else names)
    if options.experts is not None:
        if not isinstance(method.networks, dd.sources.ExpertSegments):
            raise SettingsError(f"--experts is for trajectory matching; {method.name} does not start from experts")
        method = dd.override(dd.override(method, "networks.directory", str(options.experts)), "networks.count", None)
    for path, value in parse_settings(options.set).items():
        method = dd.override(method, path, value)
    if budget is not None and dd.Budget.of(method, target).bytes > budget.bytes:
        raise SettingsError(
            f"with what --set says, {dd.Budget.of(method, target).bytes} bytes would be stored, --bytes allows {budget.bytes}: say it with "
            "--storage, or in --factorization 'NAME(setting=value)', so that sizes are chosen with it"
        )
    return method.with_steps(options.steps)


def _labelled(method: dd.Method, options: argparse.Namespace) -> dd.Method:
    """Return the method with the labels and the teachers that the options name."""
    labels, teachers = getattr(options, "labels", None), getattr(options, "teacher", None)
    if labels is not None:
        method = replace(method, labels=None if labels == HARD else parse_labelling(labels))
    if teachers is None:
        return method
    if not method.follows_teachers():
        if not options.quiet:
            say(f"{method.name} follows no teacher: it is distilled without the one given")
        return method
    return method.with_teachers(*teachers_of(options))


def _composed(
    options: argparse.Namespace, preset: str, target: dd.TargetData | dd.Spec, budget: dd.Budget | None
) -> dd.Method:
    """Return a pair of matching and factorization.

    Bytes choose the sizes that its factorization leaves at their defaults.
    """
    if options.method is not None and options.matching is not None:
        raise SettingsError("--method and --matching both name a matching: give one of them")
    matching, kind = options.matching or options.method or "distribution", options.factorization or "pixels"
    data = Path(options.data).stem
    method = compose(matching, kind, ipc=options.ipc, preset=preset, data=data)
    spec = target if isinstance(target, dd.Spec) else target.spec
    method = _labelled(method.suited_to(spec), options)
    if options.storage is not None:
        method = dd.override(method, "factorization.storage", options.storage)
    if budget is None:
        return method
    kinds = (type(method.factorization)(), method.factorization)
    if len({str(getattr(f, "ipc", None)) for f in kinds}) > 1:
        raise SettingsError(f"--bytes chooses ipc, which --factorization gives too: {kind}")
    sized = budget.fit(method, target)
    # Other settings follow the number of items, which the budget has said.
    return _labelled(compose(matching, sized.factorization, preset=preset, data=data).suited_to(spec), options)


def _is_complete(out: Path, target: dd.TargetData, method: dd.Method, options: argparse.Namespace) -> bool:
    """Whether ``out`` holds the finished summary of the same words; refuse to replace any other."""
    record = dd.DataSummary.load(out).record
    described = method.at_precision(options.precision, resolve_device(options.device)).described_after(
        record.get("steps", 0)
    )
    wanted = {"data_sha256": target.fingerprint(), "method": described, "seed": options.seed}
    if any(record.get(key) != value for key, value in wanted.items()):
        raise OutputExistsError(f"{out} holds another summary: choose another --out, or pass --overwrite")
    return bool(record["steps"] == method.steps)
