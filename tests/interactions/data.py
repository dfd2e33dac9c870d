"""Users of two tastes: small interactions on which a recommender has something to find."""

from __future__ import annotations

import numpy as np
import pandas as pd

import ddcore as dd

USERS, ITEMS = 200, 40


def pairs(seed: int = 0) -> pd.DataFrame:
    """Return 10 items for each of 200 users; 9 in 10 are from the half that the user likes."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        chances = np.where((np.arange(ITEMS) < ITEMS // 2) == (user % 2 == 0), 9.0, 1.0)
        for item in random.choice(ITEMS, 10, replace=False, p=chances / chances.sum()):
            rows.append((user, int(item), float(random.integers(1, 6)), int(random.integers(0, 10**6))))
    return pd.DataFrame(rows, columns=["user", "item", "rating", "time"])


def tastes(seed: int = 0) -> dd.TargetData:
    return dd.load_data(pairs(seed), at=(5, 10), name="tastes")
