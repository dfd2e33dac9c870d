"""Every measured figure on a page stands in a result file that its section links.

The rounding is the same. Checked everywhere: ``x ± y``, ``x [a, b]``, and the decimals of JSON
examples. In sections that link results: every decimal outside code. In docs/results.md,
docs/comparison.md and the notes beside the results also every number of a table. Published figures
are known by that word in their sentence, and stand in the last column of docs/status.md.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.merging import commit_of
from benchmarks.scaling import crossovers
from ddcore.evaluation import mean_std_ci95

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
INDEX = RESULTS / "README.md"
FILES = sorted(RESULTS.glob("*.json"))
NOTES = RESULTS / "notes"
MEASURED = {ROOT / "docs" / name for name in ("results.md", "comparison.md")} | set(NOTES.glob("*.md"))
"""Pages of measurements, where every number of a table counts."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(NOTES.glob("*.md"))]

N = r"\d*\.?\d+"
PAIR = re.compile(rf"({N})\s±\s({N})")
INTERVAL = re.compile(rf"([-+]?{N})\s+\[([-+]?{N}),\s+([-+]?{N})\]")
DECIMAL = re.compile(r"(?<![\w.:])(\d*\.\d+)(?!\w|\.\d)")
NUMBER = re.compile(rf"(?<![\w.:])({N})(?!\w)")
THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}\b)")
PERCENT = re.compile(rf"({N})\s%")
SENTENCE = re.compile(r".+?(?:(?<=\.)\s+(?=[A-Z*])|\n(?=[-|])|\n\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A page's text from one heading to the next, without code.

    Also the result files that it links, and its JSON examples.
    """

    line: int
    text: str
    files: tuple[Path, ...]
    examples: str


def sections(page: Path) -> Iterator[Section]:
    text = page.read_text()
    plain = re.sub(r"^```.*?^```", blank, text, flags=re.DOTALL | re.MULTILINE)
    starts = [0, *(m.start() for m in re.finditer(r"^#", plain, re.MULTILINE)), len(plain)]
    for start, end in pairwise(starts):
        links = [(page.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", plain[start:end])]
        files = [
            f
            for f in links
            if f.suffix != ".png" and ((f.parent == RESULTS and f != INDEX) or (f in MEASURED and page not in MEASURED))
        ]
        examples = "".join(re.findall(r"^```json\n(.*?)^```", text[start:end], re.DOTALL | re.MULTILINE))
        prose = THOUSANDS.sub("", re.sub(r"`[^`]*`|\]\([^)]*\)", blank, plain[start:end]))
        yield Section(1 + text.count("\n", 0, start), prose, tuple(dict.fromkeys(files)), examples)


def blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


@dataclass(frozen=True)
class Source:
    """What a file says: its numbers in order, and its values with their intervals."""

    numbers: tuple[float, ...]
    tuples: frozenset[tuple[float, ...]] = frozenset()

    def has(self, figure: tuple[str, ...]) -> bool:
        values, slacks = [float(part) for part in figure], [half_a_unit(part) for part in figure]
        if len(values) == 1:
            place = bisect_left(self.numbers, values[0] - slacks[0])
            return place < len(self.numbers) and self.numbers[place] <= values[0] + slacks[0]
        return any(
            len(found) == len(values) and all(abs(v - f) <= s for v, f, s in zip(values, found, slacks, strict=True))
            for found in self.tuples
        )


def half_a_unit(number: str) -> float:
    return 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9


@cache
def source(file: Path) -> Source:
    text = THOUSANDS.sub("", re.sub(r"^processor.*$", "", file.read_text(), flags=re.MULTILINE))
    tuples = {tuple(map(float, found)) for pattern in (PAIR, INTERVAL) for found in pattern.findall(text)}
    if file.parent == RESULTS:
        tuples |= intervals(json.loads(file.with_suffix(".json").read_text()))
    # A difference may be read the other way round.
    tuples |= {(-value, -high, -low) for value, low, high in (found for found in tuples if len(found) == 3)}
    return Source(tuple(sorted(map(float, re.findall(N, text)))), frozenset(tuples))


def intervals(content: Any) -> set[tuple[float, ...]]:
    """Return what a JSON file gives as a value and its interval, at any depth."""
    if isinstance(content, str):
        return {tuple(map(float, pair)) for pair in PAIR.findall(content)}
    if not isinstance(content, dict | list):
        return set()
    found = set().union(*map(intervals, content.values() if isinstance(content, dict) else content))
    if isinstance(content, dict) and content.get("ci95") is not None:
        value = next(float(content[name]) for name in ("mean", "accuracy %", "difference") if name in content)
        width = content["ci95"]
        found.add((value, *map(float, width if isinstance(width, list) else [width])))
    return found


@cache
def published() -> Source:
    """Return the published numbers: the last column of the methods in docs/status.md."""
    rows = re.findall(r"^\|.*\|([^|]*)\|$", (ROOT / "docs" / "status.md").read_text(), re.MULTILINE)
    return Source(tuple(sorted(float(number) for row in rows for number in DECIMAL.findall(row))))


def figures(page: Path, section: Section) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Yield the line, the numbers, and whether their sentence speaks of published ones."""
    for sentence in SENTENCE.finditer(section.text):
        text, is_published = sentence.group(), "ublished" in sentence.group()
        patterns = [PAIR, INTERVAL]
        patterns += [DECIMAL] if section.files or page in MEASURED else []
        patterns += [NUMBER] if page in MEASURED and text.startswith("|") else []
        for pattern in patterns:
            for found in pattern.finditer(text):
                yield section.text.count("\n", 0, sentence.start() + found.start()), found.groups(), is_published
            text = pattern.sub(blank, text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_figure_of_a_page_stands_in_a_file_that_its_section_links(page: Path) -> None:
    wrong = []
    for section in sections(page):
        sources = [source(file) for file in section.files]
        for line, figure, is_published in figures(page, section):
            known = [*sources, published()] if is_published and len(figure) == 1 else sources
            if not any(one.has(figure) for one in known) and not (is_published and page.name == "status.md"):
                wrong.append((section.line + line, " ".join(figure)))
        examples = DECIMAL.findall(section.examples)
        wrong += [(section.line, figure) for figure in examples if not any(one.has((figure,)) for one in sources)]
    assert not wrong, "\n".join(
        f"{page.name}, line {line}: {figure} is in no result file that its section links" for line, figure in wrong
    )


def test_the_readme_gives_every_percentage_with_its_interval() -> None:
    prose = "".join(section.text for section in sections(ROOT / "README.md"))
    assert PERCENT.findall(PAIR.sub("", prose)) == []
    assert len(PAIR.findall(prose)) >= 4


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_result_file_names_its_commit_and_threads_and_its_page_shows_its_numbers(file: Path) -> None:
    content, page = json.loads(file.read_text()), file.with_suffix(".md").read_text()
    assert commit_of(content["machine"]) != "unknown, recorded in no commit"
    assert content["machine"]["threads"] >= 1
    said = Source((), frozenset(intervals(content)))
    shown = PAIR.findall(page)
    assert [pair for pair in shown if not said.has(pair)] == []


def with_accuracies(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, dict) and isinstance(content.get("accuracies"), list):
        yield content
    for item in content if isinstance(content, list) else content.values() if isinstance(content, dict) else ():
        yield from with_accuracies(item)


def test_intervals_are_those_of_the_accuracies_beside_them() -> None:
    checked = 0
    for file in FILES:
        for row in with_accuracies(json.loads(file.read_text())["results"]):
            mean, _, ci95 = mean_std_ci95(row["accuracies"])
            said = frozenset(intervals({k: v for k, v in row.items() if k != "accuracies"}))
            assert Source((), said).has((f"{mean:.1f}", f"{ci95:.1f}")), (file.name, row)
            checked += 1
    assert checked > 150


def test_the_ends_of_the_advantage_are_those_of_the_intervals() -> None:
    rows = json.loads((RESULTS / "scaling_digits.json").read_text())["results"]
    assert crossovers(rows) in (RESULTS / "scaling_digits.md").read_text()
    made = [
        {"method": method, "ipc": ipc, "mean": mean, "ci95": 1.0}
        for ipc, means in {1: (50, 60), 5: (70, 71), 10: (80, 90)}.items()
        for method, mean in zip(("random", "dm"), means, strict=True)
    ]
    assert crossovers(made) == "- dm: separated from random selection, above it, at ipc 1, 10; not at ipc 5."


def test_a_figure_is_found_at_its_own_rounding_alone() -> None:
    one = Source((53.61, 92.95), frozenset({(92.95, 2.33), (0.12, -0.08, 0.36)}))
    assert all(
        one.has(figure) for figure in [("53.6",), ("92.9",), ("93.0",), ("93.0", "2.3"), ("+.12", "-.08", ".36")]
    )
    assert not any(
        one.has(figure) for figure in [("53.7",), ("93.1",), ("93.0", "2.4"), (".12", "-.09", ".36"), ("54.6",)]
    )
