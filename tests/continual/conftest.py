from __future__ import annotations

import pytest

import ddcore as dd
from ddapps.continual.streams import class_incremental


@pytest.fixture(scope="session")
def three_tasks(digits: dd.TargetData) -> list[dd.TargetData]:
    """Six classes of digits, two at a time."""
    return class_incremental(digits.of_classes([0, 1, 2, 3, 4, 5]), 3, seed=0)
