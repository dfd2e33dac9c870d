"""Accuracy after each experience, as a picture."""

from __future__ import annotations

from pathlib import Path

from ddapps.continual.outcomes import Comparison
from ddcore.errors import SettingsError


def as_png(path: str | Path) -> Path:
    """Return the path of a picture, or raise `SettingsError`."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"the picture is a PNG: give it a name that ends in .png, not {path.name}")
    return path


def plot(comparison: Comparison, path: str | Path) -> Path:
    """Draw the accuracy on all classes seen after each experience, one line per strategy, and write it as a PNG.

    Lines are dashed where training goes on through the experiences.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = as_png(path)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    experiences = range(1, comparison.tasks + 1)
    for row in comparison.rows:
        entry = row.to_json()
        bar = entry["final_accuracy"]["ci95"]
        label = f"{row.name}: {entry['final_accuracy']['mean']:.1f}" + ("" if bar is None else f" ± {bar:.1f}")
        dashed = "--" if "replay" in str(row.settings.get("type", "")).lower() else "-"
        axes.plot(experiences, entry["after_each_experience"], dashed, marker="o", markersize=3, label=label)
    axes.set_xlabel("experiences")
    axes.set_ylabel("accuracy on classes seen, %")
    axes.set_xticks(list(experiences))
    axes.set_title(f"{comparison.data}, {comparison.memory_limit} bytes of memory, {comparison.network}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=130)
    return path
