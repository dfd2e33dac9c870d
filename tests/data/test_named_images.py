"""Sets that torchvision downloads, where it is missing or made for another torch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.errors import InputDataError, MissingExtraError


@pytest.fixture
def _no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("_no_torchvision")
def test_without_torchvision_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddcore.images.sources.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"downloading CIFAR10 needs torchvision: .*\[images\]"):
        dd.load_data("cifar10")


@pytest.mark.usefixtures("_no_torchvision")
def test_a_torchvision_of_another_torch_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    broken = "raise RuntimeError('operator torchvision::nms does not exist')\n"
    (tmp_path / "torchvision" / "__init__.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputDataError) as caught:
        dd.load_data("cifar10")
    assert str(caught.value) == (
        f"downloading CIFAR10 needs torchvision, and the one here does not import beside torch {torch.__version__} "
        "(operator torchvision::nms does not exist). Install both in one command from one place, or pass "
        "the path of a .npz file with x_train, y_train, x_test, y_test"
    )
