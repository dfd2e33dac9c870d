from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import ddcore as dd
from ddcore.errors import AddressError, SummaryFormatError, UnknownNameError
from ddcore.evaluation import keep_evaluation
from ddcore.ground.addresses import filesystem


@pytest.fixture(scope="module")
def shelf(few_digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shelf")
    for ipc in (1, 2):
        summary = dd.distill(few_digits, dd.methods.random(ipc=ipc))
        place = summary.save(root / "digits" / f"random-{ipc}")
    keep_evaluation(place, summary, few_digits, dd.evaluate_kernel(summary, few_digits))
    summary.save(root / ".hidden")
    dd.summaries.write_index(root)
    return root


@pytest.fixture
def copy(shelf: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shelf, tmp_path / "copy"))


def test_an_index_names_what_lies_there(shelf: Path, few_digits: dd.TargetData) -> None:
    first, second = dd.summaries.list(shelf)
    summary = dd.DataSummary.load(shelf / "digits" / "random-2")
    assert (first.name, second.name) == ("digits/random-1", "digits/random-2") and first.measured == ()
    assert (second.method, second.data, second.ipc) == ("random", "few digits", 2)
    assert (second.bytes, second.sha256) == (summary.stored_bytes, summary.sha256())
    score = dd.evaluate_kernel(summary, few_digits).results[0]
    assert second.measured == (
        {
            "data": "few digits",
            "protocol": "krr",
            "network": "ntk, infinite width",
            "score": "accuracy",
            "mean": round(score.mean, 3),
            "ci95": None,
            "runs": 1,
        },
    )
    assert str(second).startswith("digits/random-2: random of few digits, 2 per class, ")
    assert dd.summaries.load(shelf, "digits/random-2").sha256() == summary.sha256()
    with pytest.raises(UnknownNameError, match="choose one of digits/random-1, digits/random-2"):
        dd.summaries.load(shelf, "random-2")


def test_snapshots_of_a_run_are_no_summaries_of_a_place(copy: Path) -> None:
    shutil.copytree(copy / "digits" / "random-1", copy / "digits" / "random-2" / "snapshots" / "00000001")
    shutil.copytree(copy / "digits" / "random-1", copy, dirs_exist_ok=True)
    before = dd.summaries.list(copy)
    dd.summaries.write_index(copy)
    assert dd.summaries.list(copy) == before


def test_a_folder_without_an_index_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError) as caught:
        dd.summaries.list(tmp_path)
    assert str(caught.value) == f"there is no index.json at {tmp_path}: dd.summaries.write_index(folder) makes one"


def test_an_index_is_read_at_an_address(shelf: Path) -> None:
    address = f"memory://{uuid4().hex}"
    with pytest.raises(AddressError, match=r"there is no index\.json at memory://"):
        dd.summaries.list(address)
    files, root = filesystem(address)
    files.pipe(f"{root}/index.json", (shelf / "index.json").read_bytes())
    for entry in dd.summaries.list(address):
        dd.DataSummary.load(shelf / entry.path).save(f"{address}/{entry.path}")
    assert dd.summaries.list(address) == dd.summaries.list(shelf)
    assert len(dd.summaries.load(address, "digits/random-2")) == 6


def test_another_summary_than_the_indexs_is_refused(copy: Path) -> None:
    shutil.rmtree(copy / "digits" / "random-2")
    shutil.copytree(copy / "digits" / "random-1", copy / "digits" / "random-2")
    with pytest.raises(SummaryFormatError, match="its sha256 differs"):
        dd.summaries.load(copy, "digits/random-2")


@pytest.mark.parametrize(
    "path",
    ["../elsewhere", "/etc", "a/../../b", "a//b", "https://x/y", "a\\b", "%2e%2e/b", ".", "", "a/.b", "C:/x", "a?b"],
)
def test_a_path_does_not_leave_the_place(copy: Path, path: str) -> None:
    change(copy, lambda entry: entry.update(path=path))
    with pytest.raises(SummaryFormatError, match="may leave the place"):
        dd.summaries.list(copy)


@pytest.mark.parametrize(
    "how",
    [
        lambda e: e.update(name="a\nb"),
        lambda e: e.update(bytes="many"),
        lambda e: e.update(sha256="0" * 63),
        lambda e: e.update(more=1),
        lambda e: e.update(measured=[{"mean": 1}]),
        lambda e: e.update(name="digits/random-2"),
    ],
)
def test_a_strangers_index_is_checked(copy: Path, how: Callable[[dict[str, Any]], object]) -> None:
    change(copy, how)
    with pytest.raises(SummaryFormatError, match=r"index\.json"):
        dd.summaries.list(copy)


def test_a_folder_without_summaries_or_with_a_torn_one_is_said(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SummaryFormatError, match="holds no summaries"):
        dd.summaries.write_index(tmp_path / "empty")
    (copy / "digits" / "random-1" / "summary.safetensors").unlink()
    with pytest.raises(SummaryFormatError, match=r"random-1/summary\.safetensors is missing"):
        dd.summaries.write_index(copy)


def change(root: Path, how: Callable[[dict[str, Any]], object]) -> None:
    held = json.loads((root / "index.json").read_text())
    how(held["summaries"][0])
    (root / "index.json").write_text(json.dumps(held))
