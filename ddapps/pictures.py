"""What the applications' pictures share."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ddcore.errors import MissingExtraError, SettingsError


def as_png(path: str | Path) -> Path:
    """Return the path of a picture that can be drawn; its folder is made.

    Raises:
        SettingsError: its name is not that of a PNG.
        MissingExtraError: matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"the picture is a PNG: give it a name that ends in .png, not {path.name}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("a picture", "matplotlib", "plots")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def figure_of() -> tuple[Any, Any]:
    """Return an empty figure, that no window will show, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes
