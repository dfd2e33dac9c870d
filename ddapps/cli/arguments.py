"""Words that several commands share."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.cli.kinds import each_existing, existing, folder, json_file, whole
from ddapps.cli.parser import sentence
from ddcore.errors import SettingsError
from ddcore.ground import Workers
from ddcore.parts import MODALITIES

IMAGES_HELP = (
    "a name (digits, mnist, fashion-mnist, cifar10, cifar100, svhn), a .npz file, an image folder, or a .tar of images"
)
DATA_HELP = f"{IMAGES_HELP}; or a table: a name (breast-cancer, wine, diabetes, ...), a .csv or .parquet file; or a graph: a .npz file; or interactions: a .csv with columns user and item, MovieLens' .zip, an .hdf5; or sentences: a .csv with columns text and label, a folder, or lines of a label, a tab and a text"


def add_image_options(parser: argparse.ArgumentParser) -> Any:
    """Add how images are loaded, and return the group of these options."""
    parser.set_defaults(modality="images", target=None, task=None, setting=None, embeddings=None, length=None)
    group = parser.add_argument_group("data")
    group.add_argument("--size", type=whole(), metavar="PX", help="bring the images of a folder to this side")
    group.add_argument("--enlarge", action="store_true", help="accept images of a folder that are smaller")
    group.add_argument("--skip-corrupt", action="store_true", help="leave out images of a folder that cannot be read")
    group.add_argument("--no-mirror", action="store_true", help="a mirrored image may be of another class (no flips)")
    group.add_argument("--data-root", type=Path, metavar="DIR", help="where downloads are kept (default: $DDCORE_DATA)")
    return group


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add how data of any modality are loaded."""
    group = add_image_options(parser)
    parser.set_defaults(modality=None)
    group.add_argument(
        "--target", metavar="COLUMN", help="the column of a table that is predicted, or of the sentences' classes"
    )
    group.add_argument("--task", choices=("classification", "regression"), help="of a table (default: by its target)")
    group.add_argument(
        "--embeddings",
        type=existing("word vectors: an .npz of words and vectors, or the text file of GloVe"),
        metavar="FILE",
        help="word vectors: an .npz of words and vectors, or GloVe's text file",
    )
    group.add_argument("--length", type=whole(), metavar="N", help="words of a sentence that are read (default: 30)")
    group.add_argument("--setting", choices=("transductive", "inductive"), help="of a graph: what networks see")
    group.add_argument(
        "--modality",
        choices=tuple(MODALITIES),
        metavar="M",
        help=f"what the data are, where they do not say it: {', '.join(MODALITIES)}",
    )


def load(options: argparse.Namespace, source: str, **settings: Any) -> dd.TargetData:
    """Load the data that the options describe."""
    return dd.load_data(source, **loading(options, **settings))


def loading(options: argparse.Namespace, **settings: Any) -> dict[str, Any]:
    """Return the options of `load_data` that were given, ``settings`` among them."""
    words = {
        "modality": options.modality,
        "size": options.size,
        "enlarge": options.enlarge or None,
        "corrupt": "skip" if options.skip_corrupt else None,
        "root": options.data_root,
        "mirror": False if options.no_mirror else None,
        "target": options.target,
        "task": options.task,
        "setting": options.setting,
        "embeddings": options.embeddings,
        "length": options.length,
    }
    return {key: value for key, value in (words | settings).items() if value is not None}


def data_words(options: argparse.Namespace) -> str:
    """Return the words that name the data of a command that has ``--data``, for a shell."""
    named = {
        "--modality": options.modality,
        "--size": options.size,
        "--data-root": options.data_root,
        "--target": options.target,
        "--task": options.task,
        "--setting": options.setting,
        "--embeddings": options.embeddings,
        "--length": options.length,
    }
    flags = {
        "--enlarge": options.enlarge,
        "--skip-corrupt": options.skip_corrupt,
        "--no-mirror": options.no_mirror,
    }
    words = [options.data, *(flag for flag, given in flags.items() if given)]
    return shlex.join([*words, *(w for name, v in named.items() if v is not None for w in (name, str(v)))])


def add_training_options(parser: argparse.ArgumentParser, epochs: int, kept: str) -> None:
    """Add how networks are trained on real data, and where ``kept``, what is kept of them, goes."""
    parser.add_argument("--epochs", type=whole(), default=epochs, help=f"passes over the data (default: {epochs})")
    parser.add_argument("--seed", type=whole(0), default=0, help="of weights, order and augmentation (default: 0)")
    add_set_option(parser, "a setting of training, such as learning_rate=0.02")
    parser.add_argument("--normalisation", help="as in distill (default: standard)")
    add_device_option(parser)
    parser.add_argument("--out", required=True, type=folder, metavar="DIR", help=f"where {kept} kept")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_data_options(parser)


def add_teacher_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the teachers that a command follows. ``what`` says which runs need one."""
    parser.add_argument(
        "--teacher",
        type=each_existing("the folder that 'ddapps teacher train --out' wrote"),
        metavar="DIR[,DIR]",
        help=f"one or several teachers (ddapps teacher train), for {what}",
    )


def teachers_of(options: argparse.Namespace) -> tuple[dd.Teacher, ...]:
    """Return the teachers that the options name."""
    return tuple(map(dd.Teacher.load, options.teacher or ()))


def add_actions(
    commands: Any, name: str, does: str, *adding: Callable[[Any], argparse.ArgumentParser]
) -> argparse.ArgumentParser:
    """Add a command that has actions of its own, each with ``act`` among its defaults.

    Args:
        commands: what commands are added to.
        name: of the command.
        does: what it does.
        adding: each adds one action and returns its parser. The first one's example is also
            the command's.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=does, description=sentence(does))
    actions = parser.add_subparsers(dest="action", required=True)
    added = [add(actions) for add in adding]
    for action in added:
        action.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
    parser.epilog, actions.metavar = added[0].epilog, "|".join(actions.choices)
    return parser


def act(options: argparse.Namespace) -> None:
    """Run the action that was chosen."""
    options.act(options)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add where numbers are computed."""
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")


def add_set_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add settings by their path. ``what`` explains them (`parse_settings` reads them)."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=what)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add where the JSON of a command goes (`write_json` writes it)."""
    parser.add_argument(
        "--json", type=json_file, metavar="FILE", help="write one JSON object to FILE; - is standard output"
    )


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add where and how precisely numbers are computed."""
    add_device_option(parser)
    parser.add_argument("--precision", help="fp32, tf32 (GPU), bf16, fp64")


def add_worker_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add how many processes share the work, and where they are."""
    parser.add_argument(
        "--workers",
        type=whole(0),
        default=0,
        metavar="N",
        help=f"take {what} in N processes of Ray, each on one thread (default: 0, this process takes all)",
    )
    parser.add_argument("--ray-address", metavar="ADDRESS", help="of a running Ray cluster (default: on this machine)")


def workers_of(options: argparse.Namespace) -> Workers:
    """Return the processes that the options ask for."""
    return Workers(options.workers, options.ray_address)


def write_json(value: object, path: str) -> None:
    """Write one JSON object to a file, or to standard output for ``-``."""
    text = json.dumps(value, indent=2)
    if path == "-":
        sys.stdout.write(text + "\n")
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text + "\n", encoding="utf-8")


def present(found: Any, options: argparse.Namespace, plot: Callable[[Any, Path], Any] | None = None) -> None:
    """Print a comparison, or write its JSON to standard output.

    ``--json`` and ``--png`` name files for its JSON and its picture.
    """
    if options.json != "-":
        print(found)
    if options.json is not None:
        write_json(found.to_json(), options.json)
    if plot is not None and options.png is not None:
        plot(found, options.png)


def parse_settings(pairs: list[str]) -> dict[str, object]:
    """Return ``key=value`` pairs as settings; values are JSON, or text where they are not."""
    settings: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingsError(f"--set wants key=value, not {pair!r}")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def say(text: str) -> None:
    """Write a line of progress to standard error."""
    print(text, file=sys.stderr)
