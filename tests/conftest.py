from __future__ import annotations

import gc
import os
from uuid import uuid4

import pytest

import ddcore as dd
from tests.running import few_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process of several waits for another's last test."""
    items.sort(key=lambda item: "slow" not in item.keywords)


def pytest_collection_finish() -> None:
    """Leave out what has been imported of every search for garbage: it stays to the end."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _ledgers_of_fixtures(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["DDAPPS_LEDGERS"] = str(tmp_path_factory.getbasetemp() / "ledgers")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded pixels are kept with the tests' files, not with those of who runs them."""
    os.environ["DDCORE_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(autouse=True)
def _ledgers(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test spends from ledgers of its own, not from those of who runs it."""
    monkeypatch.setenv("DDAPPS_LEDGERS", str(tmp_path_factory.getbasetemp() / "ledgers" / uuid4().hex))


@pytest.fixture(scope="session")
def digits() -> dd.TargetData:
    return dd.load_data("digits")


@pytest.fixture(scope="session")
def few_digits(digits: dd.TargetData) -> dd.TargetData:
    """Three classes of digits, 40 training examples each.

    This is a real dataset on which a step takes milliseconds.
    """
    return few_of(digits)


@pytest.fixture
def small_network() -> dd.images.ConvNet:
    return dd.images.ConvNet(width=8, depth=2)


@pytest.fixture
def small_dm(small_network: dd.images.ConvNet) -> dd.Method:
    method = dd.methods.dm(ipc=2, preset="cpu").with_steps(6)
    return dd.override(method, "networks", dd.sources.FreshNetworks(small_network))
