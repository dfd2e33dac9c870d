"""Accuracy after each experience, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddapps.continual.outcomes import Comparison
from ddapps.pictures import as_png, figure_of


def plot(comparison: Comparison | Mapping[str, Any], path: str | Path) -> Path:
    """Draw the accuracy on all classes seen, after each experience, and write it as a PNG.

    Each strategy is one line, dashed where training goes on through the experiences.

    Args:
        comparison: it, or the object that it becomes (`Comparison.to_json`).
        path: of the picture.
    """
    found = comparison.to_json() if isinstance(comparison, Comparison) else comparison
    path = as_png(path)
    figure, axes = figure_of()
    experiences = range(1, found["tasks"] + 1)
    for entry in found["results"]:
        bar = entry["final_accuracy"]["ci95"]
        label = f"{entry['name']}: {entry['final_accuracy']['mean']:.1f}" + ("" if bar is None else f" ± {bar:.1f}")
        dashed = "--" if "replay" in str(entry["settings"].get("type", "")).lower() else "-"
        after = entry["after_each_experience"]
        axes.plot(experiences[-len(after) :], after, dashed, marker="o", markersize=3, label=label)
    axes.set_xlabel("experiences")
    axes.set_ylabel("accuracy on classes seen, %")
    axes.set_xticks(list(experiences))
    axes.set_title(f"{found['data']}, {found['memory_limit']} bytes of memory, {found['network']}", fontsize=10)
    axes.legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=130)
    return path
