from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def frame() -> pd.DataFrame:
    """People of three cities; who is older than 40 says yes."""
    random = np.random.default_rng(0)
    age = random.normal(40, 10, 120).round(1)
    return pd.DataFrame(
        {
            "age": age,
            "city": random.choice(["Rome", "Oslo", "Lima"], 120),
            "member": random.random(120) < 0.5,
            "label": np.where(age > 40, "yes", "no"),
        }
    )
