"""Proxy scores against the truth, as pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ddapps.nas.outcomes import Ranking
from ddapps.pictures import as_png, figure_of


def plot(ranking: Ranking, directory: str | Path, *, prefix: str = "") -> list[Path]:
    """Draw one PNG per proxy: its mean score of every architecture against the true accuracy.

    Args:
        ranking: what `rank` found.
        directory: where the pictures go; it is made.
        prefix: of their names.
    """
    paths = []
    for row in ranking.rows:
        path = as_png(Path(directory) / f"{prefix}{_file_name(row.name)}.png")
        figure, axes = figure_of()
        axes.scatter(np.mean(row.scores, axis=0), ranking.truth.means, s=18)
        axes.set_xlabel(f"score by {row.name}")
        axes.set_ylabel("true test accuracy, %")
        found = row.test.correlation
        axes.set_title(
            f"{ranking.data}, {ranking.space}: tau {found.tau:.2f} [{found.tau_ci95[0]:.2f}, {found.tau_ci95[1]:.2f}]",
            fontsize=10,
        )
        figure.savefig(path, dpi=110)
        paths.append(path)
    return paths


def _file_name(proxy: str) -> str:
    """Return ``dm-10-pool-20-averaged`` for ``dm:10(pool=20,averaged=True)``."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", proxy.replace("=True", "")).strip("-")
