"""The seams hold: what imports what, and what the documentation shows really runs."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [p for folder in ("core", "ddapps", "tests", "examples", "benchmarks") for p in (ROOT / folder).rglob("*.py")]


def test_nothing_imports_the_source_root_as_a_package() -> None:
    assert not (ROOT / "core" / "__init__.py").exists()
    offenders = [p for p in SOURCES if re.search(r"^\s*(from|import)\s+core[.\s]", p.read_text(), re.MULTILINE)]
    assert offenders == []


def test_the_core_imports_none_of_the_applications_packages() -> None:
    code = "import sys, ddcore; print([m for m in ('ddapps','opacus','avalanche','flwr','nni') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "core")}
    )
    assert result.stdout.strip() == "[]"


def test_files_stay_small() -> None:
    assert [p for p in (ROOT / "core").rglob("*.py") if len(p.read_text().splitlines()) > 400] == []


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "shows"),
    [
        ("docs/extending.md", ".distill("),
        ("docs/methods.md", ".distill("),
        ("docs/privacy.md", ".distill("),
        ("docs/continual.md", "CompressThenRecall("),
        ("docs/federated.md", "client_app("),
        ("docs/nas.md", "rank_correlation("),
    ],
)
def test_the_python_of_a_page_runs(page: str, shows: str) -> None:
    code = "\n".join(blocks(page))
    assert shows in code
    exec(compile(code, page, "exec", dont_inherit=True), {"__name__": "page"})


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("README.md")
    exec(compile(code, "README.md", "exec", dont_inherit=True), {"__name__": "readme"})


@pytest.mark.parametrize("example", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_examples_run(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: five that import everything anew would take longer than what they show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [example, "--fast"])
    with warnings.catch_warnings(record=True), torch.random.fork_rng():  # other packages warn; a user would go on
        runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    if example == "quickstart.py":
        random, distilled, in_bytes = map(float, re.findall(r"accuracy ([\d.]+)", printed))
        assert distilled > random + 5 and abs(in_bytes - distilled) < 5, printed


def test_status_has_a_row_for_every_method() -> None:
    from ddcore.methods import METHODS

    page = (ROOT / "docs" / "status.md").read_text()
    for name in METHODS:
        assert f"`{name}`" in page, name
