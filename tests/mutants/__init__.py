"""Deliberate bugs, one text replacement each, and the tests that must fail with them.

``python -m tests.mutants [part of a description]`` applies them to a copy of the repository, one
at a time, and prints which survived. A bug is an entry of a ``.toml`` file in this folder::

    [[mutant]]
    what = "DM's image learning rate is a hundredth"
    file = "core/ddcore/methods/dm.py"
    find = 'data != "cifar100" else 1.0'
    replace = 'data != "cifar100" else 0.01'
    tests = ["tests/methods/test_published_settings.py"]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    what: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Write the bug into the copy at ``root``; return the text that was there."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.find) != 1:
            raise ValueError(
                f"{self.what!r}: {self.find!r} stands {text.count(self.find)} times in {self.file}, not once"
            )
        path.write_text(text.replace(self.find, self.replace))
        return text


def mutants(part: str = "") -> list[Mutant]:
    """Return all mutants whose description contains ``part``."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            found.append(Mutant(**{**entry, "tests": tuple(entry["tests"])}))
    return [m for m in found if part in m.what]
