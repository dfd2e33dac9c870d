"""What is installed is what the code needs, and what the project's files say of it is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import ddcore

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "avalanche": "avalanche-lib", "vl_convert": "vl-convert-python"}
FOLDERS = ("core/ddcore", "ddapps")
INSTALLED = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def package(name: str) -> str:
    """Return what an imported module's package is called on an index."""
    return PACKAGES.get(name, name).lower().replace("_", "-")


def brought(requirements: list[str]) -> set[str]:
    """Return the packages of some requirements, and those of the extras that they name."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement).groups()  # type: ignore[union-attr]
        found |= brought([r for e in extras.split(",") for r in EXTRAS[e]]) if name == "ddapps" else {package(name)}
    return found


ALWAYS = brought(PROJECT["project"]["dependencies"])


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the packages of others that a piece of code imports."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in (name.partition(".")[0] for name in names):
            if name not in sys.stdlib_module_names and name not in ("ddcore", "ddapps"):
                yield package(name)


def extra_of(path: Path) -> list[str]:
    """Return what an application's own file may import, once its package has looked for it."""
    folder = path.relative_to(ROOT).parts[1]
    own = EXTRAS.get(folder, []) if path.is_relative_to(ROOT / "ddapps") else []
    return own + (EXTRAS["privacy"] if path == ROOT / "ddapps/federated/private.py" else [])


def test_what_is_imported_at_once_is_a_dependency() -> None:
    undeclared = {}
    for path in INSTALLED:
        at_once = [n for n in parsed(path).body if not isinstance(n, ast.FunctionDef | ast.ClassDef | ast.If)]
        if missing := set(imports(ast.Module(at_once, []))) - ALWAYS - brought(extra_of(path)):
            undeclared[str(path)] = missing
    assert undeclared == {}


def test_every_import_is_declared_and_every_dependency_imported() -> None:
    imported = {path: set(imports(parsed(path))) for path in INSTALLED}
    anything = ALWAYS.union(*map(brought, EXTRAS.values()))
    assert {str(path): names - anything for path, names in imported.items() if names - anything} == {}
    assert set().union(*imported.values()) >= ALWAYS


def test_an_error_names_the_extra_that_brings_the_package() -> None:
    named = 0
    for path in INSTALLED:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtraError":
                _, wanted, extra = node.args
                assert isinstance(extra, ast.Constant) and extra.value in EXTRAS, path
                named += 1
                if isinstance(wanted, ast.Constant):
                    assert package(wanted.value) in brought(EXTRAS[extra.value]), path
    assert named >= 10


def test_the_page_on_installing_has_a_row_for_every_extra() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == set(EXTRAS)
    tried = {c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert set(re.findall(r"\b3\.\d+", page.split("\n\n")[1])) == tried


def test_the_readme_of_a_package_index_has_no_link_into_the_repository() -> None:
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = original = "".join((ROOT / fragment["path"]).read_text() for fragment in hook["fragments"])
    for rule in hook["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    code = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    assert code.findall(text) == code.findall(original)
    targets = re.findall(r"\]\(([^)]*)\)|(?:src|srcset|href)=\"([^\"]*)\"", code.sub("", text))
    assert [found for found in map("".join, targets) if not found.startswith("https://")] == []
    assert "](https://" in text or "](http" not in original


def test_the_version_is_that_of_the_changelog_and_the_citation() -> None:
    released = re.findall(r"^## (\d[\w.]*) \(([\d-]+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    citation = dict(re.findall(r"^([a-z-]+): (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert released[0] == (ddcore.__version__, citation["date-released"])
    assert (citation["version"], citation["license"]) == (ddcore.__version__, PROJECT["project"]["license"])
    assert (
        citation["cff-version"] == "1.2.0"
        and PROJECT["project"]["authors"][0]["name"] in (ROOT / "CITATION.cff").read_text()
    )


def test_a_wheel_holds_all_files_of_its_packages() -> None:
    """Whatever git ignores is left out of a wheel, also where it is tracked."""
    if not (ROOT / ".git").exists():
        pytest.skip("what git ignores is known in a checkout alone")
    words = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(FOLDERS)
    assert all((ROOT / folder / "py.typed").is_file() for folder in FOLDERS)


def test_a_source_distribution_holds_the_repository() -> None:
    made = {"out", "dist", "__pycache__", "pyproject.toml"}
    here = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - made
    assert here <= set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
