"""What the site is built from holds together. `make site` builds it, strict."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import ddcore as dd
from benchmarks import comparison, gallery
from ddapps.cli.main import build_parser
from website import links, reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = [
    *DOCS.rglob("*.md"),
    *(ROOT / "benchmarks" / "results").rglob("*.md"),
    *(ROOT / "examples").rglob("*.md"),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
TARGET = re.compile(r"\]\(([^)\s]+)")


def named(nav: Any) -> Iterator[str]:
    """Yield the pages that a navigation names."""
    if isinstance(nav, str):
        yield nav
    for entry in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from named(entry)


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page() -> None:
    entries = set(named(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])) - {"api/*.md"}
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")}
    globbed = {path.relative_to(DOCS).as_posix() for entry in entries if "*" in entry for path in DOCS.glob(entry)}
    assert found - entries - globbed == set(), "pages of docs/ that nav in mkdocs.yml does not name"
    assert {entry for entry in entries if "*" not in entry} - found == set(), "nav in mkdocs.yml names no page of docs/"


def without_code(text: str) -> str:
    return links.CODE.sub("", text)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M), re.M)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for target in TARGET.findall(without_code(page.read_text())):
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        if re.match(r"[a-z]+:", target):
            continue
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_the_site_holds_every_file_that_a_page_links_where_its_link_says() -> None:
    held = {links.site_place(file) for file in links.held_files()} | set(reference.pages())
    held |= {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.is_file()}
    missing = []
    for page in [*DOCS.rglob("*.md"), *(ROOT / "benchmarks" / "results").rglob("*.md"), *ROOT.glob("examples/**/*.md")]:
        place = page.relative_to(ROOT).as_posix()
        for target in TARGET.findall(without_code(links.for_site(page.read_text(), place))):
            found = os.path.normpath(Path(links.site_place(place)).parent / target.partition("#")[0])
            if not re.match(r"[a-z]+:|#", target) and found not in held:
                missing.append(f"{place}: {target}")
    assert missing == []


def test_links_are_turned_and_code_is_not() -> None:
    text = "[a](../benchmarks/results/digits.md) `[b](../benchmarks/x)` [c](cli.md#top) [d](https://e.org) [e](#f)"
    assert links.for_site(text, "docs/results.md") == text.replace("(../benchmarks/results", "(benchmarks/results")
    assert links.for_site("[a](../../../docs/nas.md) [b](../digits.md)", "benchmarks/results/notes/nas.md") == (
        "[a](../../../nas.md) [b](../digits.md)"
    )
    assert links.for_site("[a](../README.md)", "docs/index.md") == "[a](index.md)"


def entries(page: str) -> set[str]:
    """Return the names that a page of the reference documents or links."""
    found = re.findall(r"^::: (\S+)$|^- \[`([\w.]+)`\]|^\[\]\(\){#([\w.]+)}$", page, re.M)
    return {name for names in found for name in names if name}


def test_the_reference_has_every_public_name() -> None:
    pages = reference.pages()
    modules = {f"ddcore.{path.parent.name}" for path in ROOT.glob("core/ddcore/*/__init__.py")}
    modules |= {f"ddcore.{name}" for name in dd.__all__ if getattr(dd, name).__class__.__name__ == "module"}
    modules -= {f"ddcore.{name}" for name in dd.__all__ if not reference.is_module("ddcore", name)}
    for package in ("ddcore", *sorted(modules)):
        listed = entries(pages[reference.place(package)])
        public = getattr(importlib.import_module(package), "__all__", ())
        assert {f"{package}.{name}" for name in public} <= listed, package
        assert package in listed
    for application in ("privacy", "continual", "federated", "nas"):
        package = f"ddapps.{application}"
        said = re.search(
            r"^__all__ = \[(.*?)\]", (ROOT / "ddapps" / application / "__init__.py").read_text(), re.S | re.M
        )
        assert said is not None
        public = re.findall(r'"(\w+)"', said[1])
        listed = entries(pages[reference.place(package)])
        assert len(public) > 10 and {f"{package}.{name}" for name in public} <= listed


def test_a_static_reading_finds_what_an_import_gives() -> None:
    """A module may hide a function of its name."""
    griffe = pytest.importorskip("griffe", reason="the extra docs is not installed")
    loader = griffe.GriffeLoader(search_paths=[ROOT / "core"])
    loader.load("ddcore")
    loader.resolve_aliases()
    checked = 0
    for place, page in reference.pages().items():
        package = place.removeprefix("api/").removesuffix(".md")
        for name in getattr(importlib.import_module(package), "__all__", ()) if package.startswith("ddcore") else ():
            shown = reference.identifier(package, name)
            if f"::: {shown}\n" in page:
                found, given = (
                    loader.modules_collection[shown].kind.value,
                    getattr(importlib.import_module(package), name),
                )
                kinds = {"module": isinstance(given, ModuleType), "class": isinstance(given, type)}
                assert kinds.get(found, not any(kinds.values())), shown
                checked += 1
    assert checked > 300


def test_a_name_stands_where_it_is_defined_not_where_it_is_passed_on() -> None:
    assert (
        reference.origin("ddcore", "Batch") == reference.origin("ddcore.parts", "Batch") == "ddcore.parts.batch.Batch"
    )
    assert reference.is_module("ddapps.privacy", "baselines") and not reference.is_module("ddapps.privacy", "audit")
    page = reference.pages()["api/ddcore.parts.md"]
    assert "- [`ddcore.parts.Batch`][ddcore.Batch]" in page and "::: ddcore.parts.Batch" not in page


def test_the_page_that_compares_methods_is_what_the_results_say() -> None:
    assert comparison.PAGE.read_text() == comparison.page(), "run python -m benchmarks.comparison"


def test_what_is_not_separated_from_the_best_is_bold_and_all_data_stand_apart() -> None:
    rows = [
        {"method": "far", "accuracy %": "80.0 ± 1.0", "bytes": 1},
        {"method": "near", "accuracy %": "88.0 ± 1.0", "bytes": 2},
        {"method": "best", "accuracy %": "90.0 ± 1.0", "bytes": 3},
        {"method": "all rows", "accuracy %": "99.0 ± 0.0", "bytes": 4},
    ]
    shown = comparison.table(rows, comparison.Source("x", "x", facts={"bytes": "bytes"})).split("\n")[2:]
    assert shown == [
        "| `best` | **90.0 ± 1.0** | 3 |",
        "| `near` | **88.0 ± 1.0** | 2 |",
        "| `far` | 80.0 ± 1.0 | 1 |",
        "| *all rows* | 99.0 ± 0.0 | 4 |",
    ]


def test_the_comparison_gives_the_means_of_the_accuracies() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "digits.json").read_text())["results"]
    (row,) = [row for row in rows if (row["method"], row["ipc"], row["protocol"]) == ("frepo", 10, "dsa")]
    mean, _, ci95 = dd.evaluation.mean_std_ci95(row["accuracies"])
    table = comparison.section(comparison.SOURCES[0]).partition("**10 per class**")[2]
    assert re.search(rf"^\| `frepo` \| [^|]*\| \*\*{mean:.1f} ± {ci95:.1f}\*\* \|", table, re.M)


def test_the_gallery_shows_commands_that_exist_and_what_they_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (gallery.MADE / "experts").mkdir(parents=True)
    Path("glove*.npz").touch()
    assert gallery.PAGE.read_text() == gallery.page(), "run python -m benchmarks.gallery"
    for piece in (piece for group in gallery.GALLERY.values() for piece in group):
        assert build_parser().parse_args(shlex.split(piece.command)[1:]).out == gallery.MADE / piece.name
        assert piece.picture.exists() or piece.picture.with_suffix(".txt").exists(), piece.name
    assert sum(path.stat().st_size for path in gallery.PICTURES.iterdir()) < 400_000


def test_mathematics_of_a_docstring_becomes_formulas() -> None:
    pytest.importorskip("griffe", reason="the extra docs is not installed")
    pytest.importorskip("latex2mathml", reason="the extra docs is not installed")
    from markdown import Markdown

    from website.mathematics import Mathematics, delimited

    docstring = "The loss of :math:`x_1`.\n\n.. math:: f(x) = \\sum_i\n   x_i\n\nWith `code`.\n"
    assert delimited(docstring).rstrip() == "The loss of \\(x_1\\).\n\n\\[f(x) = \\sum_i x_i\\]\n\nWith `code`."
    drawn = Markdown(extensions=[Mathematics()]).convert(delimited(docstring) + "\nNot `\\(y\\)`.")
    assert drawn.count("<math") == 2 and '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in drawn
    assert "<msub><mi>x</mi><mn>1</mn></msub>" in drawn and "<code>\\(y\\)</code>" in drawn


def test_links_of_a_notebook_lead_to_pages_of_the_site(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    from types import SimpleNamespace

    from mkdocs.structure.files import File, Files

    from website import hooks

    names = ("tutorials/table.ipynb", "tutorials/index.md", "results.md")
    files = Files([File(name, "docs", "out", use_directory_urls=True) for name in names])
    page = SimpleNamespace(file=files.get_file_from_path(names[0]), url="tutorials/table/")
    html = '<a href="index.md"></a><a href="../results.md#tables"></a><a href="https://x.org/a.md"></a>'
    assert hooks.on_page_content(html, page, files) == (
        '<a href="../"></a><a href="../../results/#tables"></a><a href="https://x.org/a.md"></a>'
    )
    assert caplog.text == ""
    hooks.on_page_content('<a href="gone.md"></a>', page, files)
    assert "gone.md, which the site does not hold" in caplog.text
