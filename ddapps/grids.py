"""Searches of a grid that go on where the best lies on its edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Axis:
    """Ordered values of one setting. A single value is a choice: nothing beyond it is tried.

    Attributes:
        values: in their order.
        beyond: returns the value that follows one end, given that end and its neighbour; None at a
            hard limit.
        ordered: whether its ends are an edge, at which the best may lie.
    """

    values: tuple[Any, ...]
    beyond: Callable[[Any, Any], Any]
    ordered: bool = True


def numbers(values: Sequence[float], least: float, most: float) -> Axis:
    """Return an axis of positive numbers that goes on by the ratio of the last two.

    Whole numbers stay whole.
    """

    def beyond(end: float, neighbour: float) -> float | None:
        following = end * end / neighbour
        following = round(following) if isinstance(end, int) else float(f"{following:.3g}")
        return following if least <= following <= most else None

    return Axis(tuple(sorted(set(values))), beyond)


def choices(values: Sequence[Any]) -> Axis:
    """Return an axis of values that have no order: all are tried, and none lies on an edge."""
    return Axis(tuple(dict.fromkeys(values)), lambda end, neighbour: None, ordered=False)


@dataclass(frozen=True)
class Best:
    """What a search found.

    Attributes:
        values: of each axis.
        at_edge: axes on which the best lies at an end, because there is nothing beyond.
    """

    values: dict[str, Any]
    at_edge: tuple[str, ...]


def combinations(axes: Mapping[str, Axis]) -> int:
    """Return how many combinations are tried in any case."""
    return math.prod(len(axis.values) for axis in axes.values())


def search(
    axes: Mapping[str, Axis],
    cost: Callable[[dict[str, Any]], Any],
    beyond: Callable[[], None] = lambda: None,
    ahead: Callable[[list[dict[str, Any]]], None] = lambda wave: None,
    together: int | None = None,
) -> Best:
    """Return the combination of the least cost; of equals the first.

    All combinations are tried. While the best lies at an end of an axis, the value beyond is tried
    beside the best's others.

    Args:
        axes: by the names of their settings.
        cost: of a combination.
        beyond: called before every trial beyond the axes.
        ahead: called with the combinations that are tried next, before their costs are asked.
        together: how many of those on the axes are next at a time; None: all.
    """
    known = {name: list(axis.values) for name, axis in axes.items()}
    every = [dict(zip(axes, values, strict=True)) for values in product(*known.values())]
    costs: list[Any] = []
    for first in range(0, len(every), together or len(every)):
        wave = every[first : first + (together or len(every))]
        ahead(wave)
        costs += map(cost, wave)
    least, best = min(zip(costs, every, strict=True), key=lambda tried: tried[0])
    while (following := _beyond(axes, known, best)) is not None:
        name, place, value = following
        known[name].insert(place, value)
        tried = {**best, name: value}
        beyond()
        ahead([tried])
        found = cost(tried)
        if found < least:
            least, best = found, tried
    ends = (name for name, values in known.items() if len(values) > 1 and _at_end(values, best[name]))
    return Best(best, tuple(name for name in ends if axes[name].ordered))


def edges(names: Sequence[str]) -> str:
    """Return what the line of a table adds where tuned values lie on the edge."""
    return f"  best at the edge of its grid: {', '.join(names)}" if names else ""


def _at_end(values: Sequence[Any], value: Any) -> bool:
    return value in (values[0], values[-1])


def _beyond(
    axes: Mapping[str, Axis], known: Mapping[str, Sequence[Any]], best: Mapping[str, Any]
) -> tuple[str, int, Any] | None:
    """Return an axis, a place in it and a value to try there, next to the best's.

    None where the best is inside of every axis, or nothing follows.
    """
    for name, values in known.items():
        if len(values) > 1 and _at_end(values, best[name]):
            first = best[name] == values[0]
            end, neighbour, place = (values[0], values[1], 0) if first else (values[-1], values[-2], len(values))
            following = axes[name].beyond(end, neighbour)
            if following is not None:
                return name, place, following
    return None
