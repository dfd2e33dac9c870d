"""The seams hold: what imports what, and what the documentation shows really runs."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import warnings
from itertools import product
from pathlib import Path

import pytest
import torch
from PIL import Image

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


def test_the_floors_hold() -> None:
    """These are the contracts of pyproject.toml.

    Every arrow of the core goes down. Rooms of one floor do not know each other.
    """
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], capture_output=True, text=True, cwd=ROOT
    )
    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


@pytest.mark.parametrize(("root", "package"), [("core", "ddcore"), (".", "ddapps")])
def test_no_file_imports_itself_by_way_of_others(root: str, package: str) -> None:
    """Imports for types and inside of functions count too."""
    assert circles(imports_of(ROOT / root, package)) == []


def imports_of(root: Path, package: str) -> dict[str, set[str]]:
    """Return the files of a package, as modules, with those that each imports."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (root / package).rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{path} imports relatively"
                submodules = {f"{node.module}.{alias.name}" for alias in node.names} & set(modules)
                whole = len(submodules) < len(node.names)
                named |= submodules | ({node.module} if whole else set())
        found[module] = (named & set(modules)) - {module}
    return found


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Return the modules that stand in circles or import from one.

    Modules that import nothing that is left are taken away, until there is none.
    """
    left = dict(imports)
    while free := {module for module, named in left.items() if not named & set(left)}:
        left = {module: named for module, named in left.items() if module not in free}
    return sorted(left)


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_shared_rooms_name_no_modality() -> None:
    """What one modality needs, and another may use, is a hook. Texts may speak of images."""
    from ddcore.parts import MODALITIES

    names, offenders = set(MODALITIES), []
    rooms = {type(modality).__module__.split(".")[1] for modality in MODALITIES.values()}
    above = ("methods", *rooms)
    for path in (ROOT / "core" / "ddcore").rglob("*.py"):
        place = path.relative_to(ROOT / "core" / "ddcore").parts
        if place[0] in above or place == ("__init__.py",):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            imported = isinstance(node, ast.ImportFrom) and set((node.module or "").split(".")) & rooms
            said = isinstance(node, ast.Constant) and node.value in names
            named = isinstance(node, ast.Name | ast.Attribute) and (
                getattr(node, "id", None) or getattr(node, "attr", None)
            ) in {kind for name in names for kind in (name, name.capitalize())}
            if imported or said or named:
                offenders.append(f"{'/'.join(place)}:{node.lineno}")
    assert offenders == []


def test_the_table_of_roles_is_the_folder_of_roles() -> None:
    """What docs/extending.md names stands where it says, and no abstract role is missing there."""
    page, folder = (ROOT / "docs" / "extending.md").read_text(), ROOT / "core" / "ddcore" / "parts"
    rows = re.findall(r"^\| (`\w+\.py`: .*?) \|", page, re.MULTILINE)
    named = {
        file: set(re.findall(r"`([A-Z]\w+)`", roles))
        for row in rows
        for file, roles in re.findall(r"`(\w+\.py)`: ([^;,]*(?:, `[A-Z]\w+`)*)", row)
    }
    for file, roles in named.items():
        defined = {n.name for n in ast.parse((folder / file).read_text()).body if isinstance(n, ast.ClassDef)}
        assert roles and roles <= defined, file
    abstract = {p.name for p in folder.glob("*.py") if re.search(r"^class \w+\(.*ABC\)", p.read_text(), re.MULTILINE)}
    assert abstract <= set(named)


def test_files_stay_small() -> None:
    assert [p for p in (ROOT / "core").rglob("*.py") if len(p.read_text().splitlines()) > 400] == []


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "shows"),
    [
        ("docs/extending.md", ".distill("),
        ("docs/methods.md", ".distill("),
        ("docs/scaling.md", "dd.Workers("),
        ("docs/teachers.md", ".labelled("),
        ("docs/report.md", "dd.report("),
        ("docs/tables.md", ".distill("),
        ("docs/graphs.md", ".distill("),
        ("docs/recommenders.md", ".distill("),
        ("docs/text.md", ".distill("),
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
    for split, number in product(("train", "test"), range(4)):
        place = Path("my-images", split, f"class-{number % 2}")
        place.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((16, 16), 60 * (number % 2 + 1)).convert("RGB").save(place / f"{number}.png")
    code = "\n".join(blocks("README.md"))
    shorter = {
        "steps=500": "steps=2",
        "width=32": "width=8",
        "ipc=10, steps=100": "ipc=2, steps=1",
        "range(30)": "range(1)",
    }
    for long, short in shorter.items():
        assert long in code
        code = code.replace(long, short)
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
