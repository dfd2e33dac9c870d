"""`Ipc`: how many examples each class gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ddcore.errors import BudgetError, Setting, SettingsError
from ddcore.settings import require

Ipc = int | str | Mapping[int, int]
"""Examples per class: one number for all classes; one per class id; or a text.

``"clip:N"`` gives N to each class. A class that has fewer real examples gets as many as it has.
``"total:N"`` shares out N examples in all. The first classes get one more; where N is below the
number of classes, the last ones get none.
"""

WORDS = ("clip", "total")


def check_ipc(ipc: Ipc) -> None:
    """Raise `SettingsError` unless ``ipc`` has one of the forms of `Ipc`."""
    largest_ipc(ipc)


def largest_ipc(ipc: Ipc) -> int:
    """Return the largest number of examples that a class gets. Of ``total:N`` it is at most N.

    Raises:
        SettingsError: ``ipc`` has none of the forms of `Ipc`.
    """
    if isinstance(ipc, Mapping):
        require(all(_whole(key, least=0) for key in ipc), f"ipc per class maps class ids to numbers, not {ipc!r}")
        each: list[object] = list(ipc.values())
    elif isinstance(ipc, str):
        word, _, number = ipc.partition(":")
        if word not in WORDS or not number.isdecimal():
            raise SettingsError(f"ipc is a number, one per class, 'clip:10' or 'total:10', not {ipc!r}")
        each = [int(number)]
    else:
        each = [ipc]
    require(bool(each) and all(_whole(n, least=1) for n in each), f"ipc must be whole numbers above 0, not {ipc!r}")
    return max(n for n in each if isinstance(n, int))


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def counts_within(ipc: Ipc, available: Mapping[int, int]) -> dict[int, int]:
    """Return how many examples each class gets, by ascending class id.

    Args:
        ipc: what is asked for.
        available: number of real examples per class id.

    Raises:
        BudgetError: a class has fewer real examples, or none.
        SettingsError: ``ipc`` names a class that the data does not have.
    """
    empty = [c for c, n in available.items() if n == 0]
    if isinstance(ipc, Mapping):
        wanted = dict(sorted(ipc.items()))
        strangers = set(wanted) - set(available)
        require(not strangers, f"ipc names classes {sorted(strangers)} that the data does not have: {list(available)}")
    elif empty:
        raise BudgetError(f"class {empty[0]} has no example: leave it out of the data's classes, or give ipc per class")
    elif isinstance(ipc, str) and ipc.startswith("total:"):
        each, more = divmod(largest_ipc(ipc), len(available))
        shares = {c: each + (place < more) for place, c in enumerate(available)}
        wanted = {c: n for c, n in shares.items() if n}
    else:
        wanted = dict.fromkeys(available, largest_ipc(ipc))
    if isinstance(ipc, str) and ipc.startswith("clip:"):
        return {c: min(n, available[c]) for c, n in wanted.items()}
    for class_id, count in wanted.items():
        if count > available[class_id]:
            raise BudgetError(
                f"{count} examples of class {class_id} were asked for, it has {available[class_id]}; "
                f"lower ipc, give ipc per class, or take what there is: ",
                Setting("ipc", f"clip:{count}"),
            )
    return wanted


def largest_size(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest whole number from 1 to ``most`` that fits, or 0 if 1 does not.

    Args:
        fits: whether a number fits. If it does, all smaller ones must.
        most: the largest number to try.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
