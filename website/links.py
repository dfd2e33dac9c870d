"""Links that work on a code host, turned to the site's own.

A page of docs/ links files of the repository by their place in it. The site holds some of them
beside the pages of docs/, each at its place in the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELD = ("benchmarks/results", "examples", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
"""Files and folders that the site holds beside docs/, if they are there."""
KINDS = {".md", ".json", ".png", ".py", ".toml", ""}
CODE = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(rf"{CODE.pattern}|(?P<open>\]\(|^\[[^\]]+\]:\s+)(?P<target>[^)#?\s]+)", CODE.flags)


def held_files() -> Iterator[str]:
    """Yield the files beside docs/ that the site holds, by their place in the repository."""
    for name in HELD:
        place = ROOT / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path.suffix in KINDS and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix()


def site_place(file: str) -> str:
    """Return where the site holds a file of the repository: docs/ is its root, as is the README."""
    return "index.md" if file == "README.md" else file.removeprefix("docs/")


def for_site(markdown: str, page: str) -> str:
    """Return a page whose relative links are those of the site.

    Args:
        markdown: its text.
        page: its place in the repository.
    """
    folder = (ROOT / page).parent

    def turned(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or re.match(r"[a-z]+:|/", target):
            return match.group()
        file = Path(os.path.normpath(folder / target))
        if not file.is_relative_to(ROOT):
            return match.group()
        if file.is_dir() and (file / "README.md").exists():
            file /= "README.md"
        place = site_place(file.relative_to(ROOT).as_posix())
        return match["open"] + os.path.relpath(place, Path(site_place(page)).parent)

    return LINK.sub(turned, markdown)
