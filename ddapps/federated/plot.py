"""Accuracy against bytes, as a picture."""

from __future__ import annotations

from pathlib import Path

from ddapps.federated.outcomes import Comparison
from ddapps.pictures import as_png, figure_of


def plot(comparison: Comparison, path: str | Path) -> Path:
    """Draw the accuracy of every row against the bytes that had travelled, as a PNG.

    Both directions count; each partition is a line.
    """
    path = as_png(path)
    figure, axes = figure_of()
    for index, row in enumerate(comparison.rows):
        for number, course in enumerate(row.courses):
            label = row.name if number == 0 else None
            kilobytes = [total / 1000 for total in course.total]
            alone = len(kilobytes) == 1
            axes.plot(
                kilobytes,
                course.accuracies,
                "o" if alone else "-",
                color=f"C{index}",
                markersize=6,
                alpha=0.9 if alone else 0.6,
                label=label,
            )
    axes.set_xscale("log")
    axes.set_xlabel("kilobytes sent, both directions")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{comparison.data}, {comparison.clients} clients, Dirichlet({comparison.alpha:g})", fontsize=10)
    axes.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=130)
    return path
