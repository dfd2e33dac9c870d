"""Wrong commands: one line on standard error, exit code 2.

Each says what was given, what is allowed and what to do. A text that ends in ``...`` is followed by
names that grow with the library.
"""

from __future__ import annotations

import argparse
import pickle
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ddcore as dd
from ddapps.cli.main import build_parser, main
from ddcore.errors import Setting, SettingsError

DISTILL = "distill digits --quiet --out out"
SUMMARY = "give the folder that 'ddapps distill --out' wrote"
PRIVATE = "--epsilon 5 --delta 1e-3 --out out --quiet"
WRONG = {
    "nas make-proxy digits --method dm --pilot 5 --out OUT": "ddapps nas make-proxy: error: --pilot is what --method auto fits on: leave it out with --method dm",
    "distil digits --out out": "ddapps: error: unknown command 'distil' (did you mean 'distill'?): choose one of distill, evaluate, ...",
    "distill digits": "ddapps distill: error: the following arguments are required: --out (see ddapps distill --help)",
    "distill --out out": "ddapps distill: error: the following arguments are required: DATA (see ddapps distill --help)",
    "distill digits more --out out": "ddapps distill: error: 'more' is one word too many: leave it out, or put what has spaces in quotes "
    "(see ddapps distill --help)",
    "distill digits --outt out": "ddapps distill: error: unknown option '--outt' (did you mean '--out'?): leave it out, or choose another "
    "(see ddapps distill --help)",
    "distill digits --out": "ddapps distill: error: argument --out: expected one argument (see ddapps distill --help)",
    "distill digits --out ''": "ddapps distill: error: argument --out: '' names no folder: give one that is written to, such as out/dm "
    "(see ddapps distill --help)",
    "distill digits --out full": "ddapps distill: error: --out full holds other files (a.txt, b.txt, c.txt, ...): choose a new or an empty "
    "folder, or --overwrite to write among them",
    "distill digits --out ok.npz": "ddapps distill: error: argument --out: 'ok.npz' is a file: give a folder that is written to "
    "(see ddapps distill --help)",
    "distill digit --out out": "ddapps distill: error: unknown data 'digit' (did you mean 'digits'?): choose one of ...",
    f"{DISTILL} --method dmm": "ddapps distill: error: unknown method 'dmm' (did you mean 'dm'?): choose one of ...",
    f"{DISTILL} --method dm --matching dc": "ddapps distill: error: --method and --matching both name a matching: give one of them",
    f"{DISTILL} --ipc 1 --bytes 3kB": "ddapps distill: error: --ipc and --bytes both say how much is stored: give one of them",
    f"{DISTILL} --bytes 9MB": "ddapps distill: error: a budget of 9000000 bytes is more than the 93470 of the training examples "
    "themselves: give less",
    f"{DISTILL} --bytes 1kB": "ddapps distill: error: 1000 bytes do not hold pixels with one item per class: 2570 are the least with "
    "these settings (storage=float32): give more bytes, or a smaller storage",
    f"{DISTILL} --steps 0": "ddapps distill: error: argument --steps: 0 is too small: give a whole number of 1 or more "
    "(see ddapps distill --help)",
    f"{DISTILL} --steps many": "ddapps distill: error: argument --steps: 'many' is no whole number: give one of 1 or more "
    "(see ddapps distill --help)",
    f"{DISTILL} --max-seconds -1": "ddapps distill: error: argument --max-seconds: -1 is out of range: give a number above 0 "
    "(see ddapps distill --help)",
    f"{DISTILL} --checkpoint-seconds soon": "ddapps distill: error: argument --checkpoint-seconds: 'soon' is no number: give one of 0 or more "
    "(see ddapps distill --help)",
    f"{DISTILL} --preset papers": "ddapps distill: error: argument --preset: unknown 'papers' (did you mean 'paper'?): choose one of paper, "
    "cpu (see ddapps distill --help)",
    f"{DISTILL} --network convnett": "ddapps distill: error: unknown network 'convnett' (did you mean 'convnet'?): choose one of ...",
    f"{DISTILL} --network 'mlp(widht=8)'": "ddapps distill: error: MLP has no setting 'widht' (did you mean 'width'?): choose one of width, "
    "depth",
    f"{DISTILL} --set optimiser.learning_rat=1": "ddapps distill: error: Optimiser has no setting 'learning_rat' (did you mean "
    "'learning_rate'?): choose one of ...",
    f"{DISTILL} --set speed": "ddapps distill: error: --set wants key=value, not 'speed'",
    f"{DISTILL} --precision fp8": "ddapps distill: error: unknown precision 'fp8': choose one of bf16, fp32, fp64, tf32",
    f"{DISTILL} --labels softer": "ddapps distill: error: unknown kind of labels 'softer' (did you mean 'soft'?): choose one of ...",
    f"{DISTILL} --teacher nowhere": "ddapps distill: error: argument --teacher: 'nowhere' is not there: give the folder that 'ddapps teacher "
    "train --out' wrote (see ddapps distill --help)",
    f"{DISTILL} --experts nowhere": "ddapps distill: error: argument --experts: 'nowhere' is not there: give the folder that 'ddapps experts "
    "train --out' wrote (see ddapps distill --help)",
    "evaluate nowhere --data digits": f"ddapps evaluate: error: argument DIR: 'nowhere' is not there: {SUMMARY} (see ddapps evaluate --help)",
    "evaluate full --data digits": f"ddapps evaluate: error: argument DIR: 'full' holds no summary: {SUMMARY} (see ddapps evaluate --help)",
    "evaluate summary --data digits --protocol quik": "ddapps evaluate: error: unknown protocol 'quik' (did you mean 'quick'?): choose one "
    "of ...",
    "evaluate summary --data digits --protocol krr --networks mlp": "ddapps evaluate: error: --networks means nothing under --protocol krr, "
    "which takes no network: leave it out, or say --kernels",
    "evaluate summary --data digits --ridge 1": "ddapps evaluate: error: --ridge means nothing under --protocol quick, which takes networks, "
    "and no kernel: leave it out, or say --networks",
    "report summary --data digits --out x.txt": "ddapps report: error: argument --out: 'x.txt' is no page: give a name that ends in .html "
    "(see ddapps report --help)",
    "evaluate summary --data digits --runs 0": "ddapps evaluate: error: argument --runs: 0 is too small: give a whole number of 1 or more "
    "(see ddapps evaluate --help)",
    "evaluate summary --data digits --networks mpl": "ddapps evaluate: error: unknown network 'mpl' (did you mean 'mlp'?): choose one of ...",
    "evaluate summary --data digits --json full": "ddapps evaluate: error: argument --json: 'full' is a folder: give the file that is written "
    "(see ddapps evaluate --help)",
    "show": "ddapps show: error: the following arguments are required: DIR (see ddapps show --help)",
    "show summary --out x.gif": "ddapps show: error: a picture is written as .jpeg, .jpg, .png or .webp: x.gif is none of them, give another "
    "name",
    "methods dm": "ddapps methods: error: 'dm' is one word too many: leave it out, or put what has spaces in quotes (see ddapps methods "
    "--help)",
    "experts trian digits": "ddapps experts: error: unknown command 'trian' (did you mean 'train'?): choose one of train (see ddapps experts "
    "--help)",
    "experts train digits --set epoch=3 --out e": "ddapps experts train: error: ExpertTraining has no setting 'epoch' (did you mean "
    "'epochs'?): choose one of ...",
    "teacher train digits --epochs 0 --out t": "ddapps teacher train: error: argument --epochs: 0 is too small: give a whole number of 1 or "
    "more (see ddapps teacher train --help)",
    "privacy": "ddapps privacy: error: the following arguments are required: distill|verify|audit|compare (see ddapps privacy --help)",
    "privacy distill digits --epsilon 5 --delta 2 --out out": "ddapps privacy distill: error: argument --delta: 2 is out of range: give a "
    "number above 0 and below 1 (see ddapps privacy distill --help)",
    f"privacy distill ok.npz {PRIVATE}": "ddapps privacy distill: error: the classes of ok were read from its private examples: declare "
    "them, --num-classes N",
    "privacy audit summary --data digits --canaries nowhere": "ddapps privacy audit: error: argument --canaries: 'nowhere' is not there: "
    "give DIR.private/canaries.json, which 'ddapps privacy distill --canaries N' wrote (see ddapps privacy audit --help)",
    "federated run digits --alpha -1": "ddapps federated run: error: argument --alpha: -1 is out of range: give a number above 0 (see ddapps "
    "federated run --help)",
    "continual run digits --tasks 0": "ddapps continual run: error: argument --tasks: 0 is too small: give a whole number of 1 or more (see "
    "ddapps continual run --help)",
    "nas search digits --proxy nowhere": "ddapps nas search: error: argument --proxy: 'nowhere' is not there: give the folder that 'ddapps "
    "nas make-proxy --out' or 'ddapps distill --out' wrote (see ddapps nas search --help)",
    "nas rank digits --truth nowhere.npz": "ddapps nas rank: error: argument --truth: 'nowhere.npz' is not there: give 'train', or a table "
    "of accuracies, .npz (see ddapps nas rank --help)",
    "nas rank digits --sample 2": "ddapps nas rank: error: argument --sample: 2 is too small: give a whole number of 3 or more (see ddapps "
    "nas rank --help)",
}


@pytest.fixture(scope="module")
def place(digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a summary, a data file, and a folder of other files."""
    place = tmp_path_factory.mktemp("wrong")
    dd.distill(dd.load_data("digits"), dd.methods.random(ipc=1)).save(place / "summary")
    (place / "full").mkdir()
    for name in "abcd":
        (place / "full" / f"{name}.txt").write_text("mine")
    images, labels = digits.train.inputs[:60, 0].numpy(), digits.train.targets[:60].numpy()
    np.savez(place / "ok.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return place


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_are_one_line_that_says_what_to_do(
    words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    try:
        code: object = main(shlex.split(words))
    except SystemExit as stopped:
        code = stopped.code
    said, wanted = capsys.readouterr(), WRONG[words]
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    if wanted.endswith("..."):
        assert said.err.startswith(wanted.removesuffix("..."))
    else:
        assert said.err == f"{wanted}\n"
    assert not (place / "out").exists()
    assert sorted(path.name for path in (place / "full").iterdir()) == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_there_are_forty_and_every_command_is_among_them() -> None:
    assert len(WRONG) >= 40
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert {
        "distill",
        "evaluate",
        "show",
        "methods",
        "experts",
        "teacher",
        "privacy",
        "federated",
        "continual",
        "nas",
    } <= {*commands.choices} & {words.split()[0] for words in WRONG}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{DISTILL} --ipc 1000", "or take what there is: --ipc clip:1000"),
        (f"{DISTILL} --method random --steps 5", "no steps to take, 5 are asked for: leave out --steps STEPS"),
        ("distill images --quiet --out out", "the images differ in size: give --size PX to resize them"),
        ("distill images --size 9 --quiet --out out", "smaller than 9 x 9: choose a smaller size, or give --enlarge"),
        ("distill broken --quiet --out out", "of 4 not readable: repair or remove, or give --skip-corrupt"),
        (f"privacy distill alone --num-classes 2 {PRIVATE}", "declare them, --class-names A,B,..."),
        (
            "evaluate summary --data alone.npz --quiet",
            "has no test split: give data that have one, or load them with test= (in Python)",
        ),
    ],
)
def test_what_python_calls_by_a_keyword_is_said_as_an_option(
    words: str, said: str, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pictures)
    assert main(shlex.split(words)) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a place with images of two sizes, with a broken one, and without a test split."""
    for folder, sides in (("images", (8, 9)), ("broken", (8, 8)), ("alone", (8, 8))):
        for name, side in zip(("cat", "dog"), sides, strict=True):
            (tmp_path / folder / name).mkdir(parents=True)
            for i in range(2):
                Image.new("L", (side, side), 90 * i).save(tmp_path / folder / name / f"{i}.png")
    (tmp_path / "broken" / "dog" / "0.png").write_bytes(b"no image")
    np.savez(
        tmp_path / "alone.npz", x_train=np.eye(8, dtype=np.uint8).repeat(8, 0).reshape(8, 8, 8), y_train=[0, 1] * 4
    )
    dd.distill(dd.load_data(tmp_path / "alone.npz"), dd.methods.random(ipc=1)).save(tmp_path / "summary")
    return tmp_path


def test_an_error_says_settings_in_the_words_of_its_reader() -> None:
    error = SettingsError("give ", Setting("size"), " or ", Setting("ipc", "clip:5"), ", never ", 3)
    assert str(error) == "give size= or ipc='clip:5', never 3"
    assert error.said(lambda setting: f"<{setting.name}>") == "give <size> or <ipc>, never 3"
    copied = pickle.loads(pickle.dumps(error))
    assert copied.said(lambda setting: setting.name) == "give size or ipc, never 3"


def test_a_run_that_fails_is_no_wrong_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1: it began. The message says where the last good state lies."""
    monkeypatch.chdir(tmp_path)
    words = "--ipc 1 --network 'convnet(width=4)' --steps 60 --set optimiser.learning_rate=1e30"
    assert main(shlex.split(f"{DISTILL} {words}")) == 1
    said = capsys.readouterr().err
    assert "is not finite; the state before it is kept in out/last-good. Lower the learning rate" in said
    assert dd.DataSummary.load("out/last-good").counts == dict.fromkeys(range(10), 1)
    (tmp_path / "out" / "last-good" / "config.json").write_text("{}")
    assert main(["show", "out/last-good"]) == 1
