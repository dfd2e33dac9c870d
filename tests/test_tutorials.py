"""The tutorials are notebooks that were run, and what they call is there.

They are not run here: that takes minutes (``make tutorials``). The shortest one is, with fewer
steps.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 300_000
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def code_of(notebook: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def faults(notebook: dict[str, Any]) -> list[str]:
    """Return what a page must not show: cells that were not run, errors, warnings, places."""
    found = []
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if [cell["execution_count"] for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("cells were not run in order")
    for cell in cells:
        for output in cell["outputs"]:
            kind = output["output_type"]
            data = output.get("data", {})
            if kind == "error" or output.get("name") == "stderr":
                found.append(f"{kind} on standard error")
            if "image/png" in data and not output["metadata"].get("image/png", {}).get("alt"):
                found.append("a picture without words for those who do not see it: give its cell an 'alt'")
            text = "".join("".join(part) for name, part in data.items() if name.startswith("text/"))
            shown = "".join(output.get("text", [])) + text
            if (said := re.search(r"\w*Warning\b|Traceback|\bat 0x[0-9a-f]+|\d+%\|", shown)) is not None:
                found.append(f"{said.group()!r} in an output")
        if cell["metadata"].keys() - {"alt"}:
            found.append(f"metadata {sorted(cell['metadata'])} of a run")
    whole = json.dumps([notebook["metadata"], *notebook["cells"]])
    found += [
        f"a path of a machine: {path}" for path in re.findall(r"(?<![\w.:/])/(?:home|root|tmp|work|Users)/\w*", whole)
    ]
    if (
        set(notebook["metadata"]) != {"kernelspec", "language_info"}
        or "version" in notebook["metadata"]["language_info"]
    ):
        found.append("metadata of a machine")
    return found


@every_notebook
def test_a_notebook_shows_what_a_clean_run_gave(path: Path) -> None:
    assert faults(read(path)) == []
    assert path.stat().st_size < LARGEST


def test_faults_are_found() -> None:
    notebook = read(FOLDER / "table.ipynb")

    def with_output(**output: Any) -> list[str]:
        changed = json.loads(json.dumps(notebook))
        cell = next(cell for cell in changed["cells"] if cell["cell_type"] == "code")
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [], "metadata": {}, **output}]
        return faults(changed)

    assert with_output() == []
    assert with_output(name="stderr") == ["stream on standard error"]
    assert with_output(output_type="error") == ["error on standard error"]
    assert with_output(text=["x.py:3: UserWarning: old"]) == ["'UserWarning' in an output"]
    assert with_output(text=["steps:  40%|####   |"]) == ["'40%|' in an output"]
    assert with_output(text=["<Thing object at 0x7f3a>"]) == ["'at 0x7f3a' in an output"]
    assert with_output(text=["saved to /tmp/there"]) == ["a path of a machine: /tmp/there"]
    assert len(with_output(data={"image/png": ""})) == 1
    notebook["cells"] = [cell for cell in notebook["cells"] if cell.get("execution_count") != 2]
    assert faults(notebook) == ["cells were not run in order"]


def names_used(tree: ast.Module) -> Iterator[tuple[str, ast.Call | None]]:
    """Yield the dotted paths into this project that code names, with the call of each."""
    roots = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name: path for name, path in roots.items() if path.split(".")[0] in ("ddcore", "ddapps")}
    yield from ((path, None) for path in ours.values())
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        steps, inner = [], node
        while isinstance(inner, ast.Attribute):
            steps, inner = [inner.attr, *steps], inner.value
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(inner, ast.Name) and inner.id in ours:
            yield ".".join([ours[inner.id], *steps]), calls.get(id(node))


def missing(code: str) -> list[str]:
    """Return what code names of this project and what is not there, keywords of calls included."""
    found = []
    for path, call in names_used(ast.parse(code)):
        try:
            thing = resolved(path)
        except AttributeError:
            found.append(path)
            continue
        if call is not None:
            accepted = inspect.signature(thing).parameters.values()
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
                names = {parameter.name for parameter in accepted}
                found += [f"{path}({word.arg}=)" for word in call.keywords if word.arg and word.arg not in names]
    return sorted(set(found))


def resolved(path: str) -> Any:
    package, *steps = path.split(".")
    thing: Any = importlib.import_module(package)
    for step in steps:
        package = f"{package}.{step}"
        if not hasattr(thing, step) and inspect.ismodule(thing):
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(package)
        thing = getattr(thing, step)
    return thing


@every_notebook
def test_what_a_notebook_calls_is_there(path: Path) -> None:
    cells = code_of(read(path))
    for cell in cells:
        compile(cell, path.name, "exec")
    assert missing("\n".join(cells)) == []
    assert len(list(names_used(ast.parse("\n".join(cells))))) > 10


def test_what_is_not_there_is_named() -> None:
    code = (
        "import ddcore as dd\nfrom ddapps.nas import rank, ranks\nd = dd.distil(1)\ndd.methods.dm(ipc=1, presets=2)\n"
    )
    assert missing(code) == ["ddapps.nas.ranks", "ddcore.distil", "ddcore.methods.dm(presets=)"]
    assert missing("import ddcore as dd\ndd.DataSummary.load('x').anything()\ndd.methods.dm(ipc=1)") == []


@every_notebook
def test_a_notebook_can_be_found(path: Path) -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    assert f"({path.name})" in (FOLDER / "index.md").read_text()
    assert "tutorials/*.ipynb" in site or f"tutorials/{path.name}" in site


@every_notebook
def test_the_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    prose = "".join("".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)", prose) if not link.startswith("http")]
    assert links and [link for link in links if not (FOLDER / link).is_file()] == []


def test_the_shortest_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = read(FOLDER / "table.ipynb")
    code, space, said = "\n".join(code_of(notebook)), {"__name__": "notebook"}, io.StringIO()
    for long, short in (("steps=200", "steps=2"), ("range(3)", "range(2)"), ('"quick"', "BRIEF")):
        assert long in code
        code = code.replace(long, short)
    space["BRIEF"] = brief()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "table.ipynb", "exec", dont_inherit=True), space)
    stored = "".join(
        "".join(output["text"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    )
    assert shape_of(said.getvalue()) == shape_of(stored)


def brief() -> Any:
    from ddcore.evaluation import as_protocol

    return as_protocol("quick").with_epochs(2)


def shape_of(printed: str) -> list[str]:
    """Return lines without their numbers, and without what hangs on these."""
    return [re.sub(r"(best mean: ).*", r"\1", re.sub(r"[\d.]+", "#", line)) for line in printed.splitlines()]
