from __future__ import annotations

import pytest

from ddcore.data.hugging_face import parts_of
from ddcore.errors import InputDataError


def test_two_splits_that_mean_the_same_are_refused() -> None:
    assert parts_of({"train": [1], "val": [2]}) == {"train": [1], "validation": [2]}
    with pytest.raises(InputDataError, match="the splits valid, val of the dataset mean the same"):
        parts_of({"train": [1], "valid": [2], "val": [3]})
