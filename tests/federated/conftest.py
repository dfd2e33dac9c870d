"""Small federations: digits on a few clients, a narrow network, few epochs."""

from __future__ import annotations

import logging

import pytest
import torch

import ddcore as dd
from ddapps.federated import ServerData, Settings
from ddapps.privacy import PUBLIC_NORMALISATION

QUICK = {"network": "convnet(width=4)", "ipc": 2, "steps": 2, "epochs": 3, "min_clients": 1}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("flwr").setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def digits() -> dd.TargetData:
    return dd.load_data("digits", normalisation=PUBLIC_NORMALISATION)


@pytest.fixture(scope="session")
def parts(digits: dd.TargetData) -> list[dd.TargetData]:
    """Four clients with a few classes each, 400 images in all."""
    some = digits.with_train(torch.arange(400), "digits")
    return dd.data.partitions.dirichlet(some, 4, 0.3, seed=1)


@pytest.fixture(scope="session")
def data(digits: dd.TargetData) -> ServerData:
    return ServerData.of(digits)


def quick(**changes: object) -> Settings:
    return Settings(**{**QUICK, **changes})  # type: ignore[arg-type]
