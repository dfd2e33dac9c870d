"""The gallery of the site: docs/gallery.md and its pictures, each made by the command beside it.

``python -m benchmarks.gallery`` makes all of it, ``--only dm,wine`` some of it. What needs a file
looks for it below ``DDCORE_DATA``; without it the earlier picture stays.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

import ddcore as dd
from ddapps.cli.main import main as ddapps
from ddcore.summary import as_text, save_picture

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "images" / "gallery"
MADE = Path("out", "gallery")
NARROW = "--network 'convnet(width=32)'"


@dataclass(frozen=True)
class Piece:
    """One summary that the gallery shows.

    Args:
        name: of its picture.
        words: of `ddapps distill` up to its output.
        says: what is seen.
        before: a command that has to run first.
    """

    name: str
    words: str
    says: str
    before: str = ""

    @property
    def command(self) -> str:
        return f"ddapps distill {self.words} --seed 0 --out {(MADE / self.name).as_posix()}"

    @property
    def picture(self) -> Path:
        return PICTURES / f"{self.name}.png"


GALLERY = {
    "Handwritten digits, one image per class": [
        Piece(
            "random", "digits --method random --ipc 1", "Ten real images, drawn at random. All others are beside them."
        ),
        Piece("herding", "digits --method herding --ipc 1", "The real image nearest its class's mean."),
        Piece("dm", f"digits --method dm --ipc 1 {NARROW} --steps 500", "Means of features are matched."),
        Piece("dsa", f"digits --method dsa --ipc 1 {NARROW} --steps 150", "Gradients are matched, under augmentation."),
        Piece(
            "mtt",
            f"digits --method mtt --ipc 1 {NARROW} --steps 100 --experts {(MADE / 'experts').as_posix()}",
            "Training on the images follows the path of training on real ones.",
            f"ddapps experts train digits {NARROW} --count 2 --epochs 10 --out {(MADE / 'experts').as_posix()}",
        ),
        Piece(
            "linba_no_factorization",
            f"digits --method linba_no_factorization --ipc 1 {NARROW} --steps 30",
            "Training on the images is differentiated through. The labels are learned as well.",
        ),
        Piece("frepo", f"digits --method frepo --ipc 1 {NARROW} --steps 200", "Kernel regression on features."),
        Piece(
            "kfs",
            f"digits --method kfs --bytes 1300 {NARROW} --steps 300",
            "Codes and a decoder in 1300 bytes, from which 80 images are made: the first of each class.",
        ),
    ],
    "Other images": [
        Piece("mnist_dm", f"mnist.npz --method dm --ipc 1 {NARROW} --steps 150", "MNIST by `dm`, one per class."),
    ],
    "A table": [Piece("wine", "wine --method dm --ipc 1 --steps 300", "Three wines that stand for 142.")],
    "A graph": [
        Piece(
            "cora",
            "cora.npz --method doscond --ratio 0.026 --steps 100",
            "70 papers that stand for Cora's 2708. A colour is a class; papers that cite each other lie together.",
        )
    ],
    "Sentences": [
        Piece(
            "sms",
            "SMSSpamCollection --method sucholutsky --factorization projected-words --ipc 2 --embeddings glove*.npz"
            " --steps 40",
            "Two messages of each kind, in words. They are not meant to be read, but trained on.",
        )
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of pieces, separated by commas (default: all)")
    only = parser.parse_args().only
    PICTURES.mkdir(parents=True, exist_ok=True)
    pieces = [piece for group in GALLERY.values() for piece in group]
    for piece in pieces:
        if only is None or piece.name in only.split(","):
            make(piece)
    PAGE.write_text(page())


def make(piece: Piece) -> None:
    """Run a piece's command, if its data are there and its summary is not."""
    if not (MADE / piece.name / "config.json").exists():
        for command in filter(None, (piece.before, piece.command)):
            words = [found(word) for word in shlex.split(command)[1:]]
            if None in words:
                print(f"{piece.name}: its data are not below {dd.data.data_root()}", file=sys.stderr)
                return
            failed = ddapps([*map(str, words), *(["--quiet"] if words[0] == "distill" else [])])
            if failed:
                sys.exit(f"{piece.name}: ended with {failed}")
    summary = dd.DataSummary.load(MADE / piece.name)
    if summary.spec.modality == "images":
        row(summary, piece.picture)
    elif summary.spec.modality.startswith("graph"):
        save_picture(summary, piece.picture)
        Image.open(piece.picture).convert("P", palette=Image.Palette.ADAPTIVE).save(piece.picture, optimize=True)
    else:
        piece.picture.with_suffix(".txt").write_text(re.sub(r" +$", "", as_text(summary), flags=re.M) + "\n")


def found(word: str) -> str | None:
    """Return a word, or the path of the file that it names; None where there is none."""
    if not re.search(r"\.npz$|Collection$", word):
        return word
    return next((str(path) for path in sorted(dd.data.data_root().rglob(word), reverse=True)), None)


def row(summary: dd.DataSummary, path: Path, *, height: int = 56, gap: int = 4) -> None:
    """Draw the first image of every class, side by side."""
    pixels, labels = summary.to_pixels(), summary.tensors()[1]
    classes = labels if labels.dim() == 1 else labels.argmax(dim=1)
    firsts = [int((classes == one).nonzero()[0]) for one in range(len(summary.counts))]
    times = max(1, height // pixels.shape[-1])
    images = pixels[firsts].clamp(0, 1).repeat_interleave(times, 2).repeat_interleave(times, 3)
    side, channels = images.shape[-1], images.shape[1]
    drawn = torch.ones(channels, side, len(firsts) * (side + gap) - gap)
    for place, image in enumerate(images):
        drawn[:, :, place * (side + gap) : place * (side + gap) + side] = image
    grey = (255 * drawn).round().byte().permute(1, 2, 0)
    Image.fromarray(grey.squeeze(-1).numpy()).save(path, optimize=True)


def page() -> str:
    """Return the page: for each piece what is seen, its picture, and its command."""
    parts = [
        "# Gallery\n\nWhat distilled data look like. Every picture is made by the command below it, on one processor, in"
        " a few minutes at most;\n`python -m benchmarks.gallery` makes all of them. The runs are short: what longer ones"
        " reach stands in [Methods compared](comparison.md).\nData files that are not embedded are looked for below"
        " `DDCORE_DATA` by it; in your own command they are paths."
    ]
    for title, pieces in GALLERY.items():
        parts.append(f"## {title}")
        parts += [entry(piece) for piece in pieces]
    return "\n\n".join(parts) + "\n"


def lines(command: str) -> str:
    """Return a command in lines that fit a page. An option stays beside its value."""
    kept = re.sub(r"(--\S+) ", "\\1\N{NO-BREAK SPACE}", command)
    wrapped = textwrap.wrap(kept, 74, break_long_words=False, break_on_hyphens=False)
    return " \\\n    ".join(wrapped).replace("\N{NO-BREAK SPACE}", " ")


def entry(piece: Piece) -> str:
    text = piece.picture.with_suffix(".txt")
    seen = f"![{piece.says}]({piece.picture.relative_to(PAGE.parent).as_posix()})"
    shown = f"```text\n{text.read_text().rstrip()}\n```" if text.exists() else seen
    commands = "\n".join(map(lines, filter(None, (piece.before, piece.command))))
    return f"### {piece.name}\n\n{piece.says}\n\n{shown}\n\n```bash\n{commands}\n```"


if __name__ == "__main__":
    main()
