"""``fitted``: a method with as many examples as bytes hold, where only writing tells how many."""

from __future__ import annotations

from dataclasses import replace

from ddcore.budget import Budget
from ddcore.engine.distill import distill
from ddcore.errors import BudgetError
from ddcore.factorization import Compressed
from ddcore.parts import Method, NoNetworks, TargetData

PROBES = 8
FULL = 0.95
"""A size that takes this share of the bytes is taken without another look."""
SELECTED, LEARNED = 0.98, 0.75
"""Shares of the bytes that examples take at the start. Of another seed the same number of them
takes some percent more; and what a matching adds to them, about a third in a hundred steps of
`dm` on Fashion-MNIST, costs bytes too. What finds no room is filtered away."""


def start_bytes(method: Method, target: TargetData, *, seed: int = 0) -> int:
    """Return the bytes of a method's examples at the start, by writing them, but for soft labels.

    Args:
        method: of a size. Nothing is matched.
        target: the data.
        seed: of the selection.

    Raises:
        BudgetError: they are more numbers than a code holds.
    """
    start = replace(method, matching=None, networks=NoNetworks(), steps=0, labels=None)
    return distill(target, start, seed=seed, device="cpu", progress=False).stored_bytes


def fitted(method: Method, target: TargetData, nbytes: int, *, seed: int = 0) -> Method:
    """Return ``method`` with as many examples per class as ``nbytes`` hold, measured on the data.

    What is not compressed has a size that is known beforehand: that is ``Budget.fit``. Of a
    `Compressed` factorization the examples at the start are written with several numbers of them.
    The method keeps ``nbytes``, less those of its labels, as its limit, so that what is learned
    stays below it. At first they take `SELECTED` of it, or `LEARNED`.

    Args:
        method: with a factorization of any size.
        target: the data. Sizes are measured on its training split, so they are no public facts.
        nbytes: most bytes that are stored.
        seed: of the selection at the start.

    Raises:
        BudgetError: one item per class takes more.
    """
    kind = method.factorization
    if not isinstance(kind, Compressed):
        return Budget(nbytes, beyond=True).fit(method, target)
    counts = target.counts()
    most, fewest = max(counts.values()), min(counts.values())

    def sized(ipc: int) -> Compressed:
        return replace(kind, nbytes=None).sized(ipc if ipc <= fewest else f"clip:{ipc}")

    def labels(ipc: int) -> int:
        count = sum(sized(ipc).counts_for(counts).values())
        return 0 if method.labels is None else method.labels.max_bytes(count, target.spec)

    def size(ipc: int) -> int:
        return start_bytes(replace(method, factorization=sized(ipc)), target, seed=seed) + labels(ipc)

    fits, held, taken = 0, 0, 0
    above, guess = most + 1, 1
    aim = (SELECTED if method.matching is None else LEARNED) * nbytes
    for _ in range(PROBES):
        try:
            taken = size(guess)
        except BudgetError:  # more numbers than a code holds
            if guess == 1:
                raise
            above = guess
            guess = (fits + above) // 2
            continue
        if taken <= aim or (guess == 1 and taken <= nbytes):
            fits, held = guess, taken
        else:
            above = guess
        if fits == 0 and guess == 1:
            break
        if above - fits <= 1 or held >= FULL * aim:
            break
        # Sizes grow nearly in proportion to the number of examples.
        guess = min(max(int(guess * aim / taken), fits + 1), above - 1)
    if fits == 0:
        raise BudgetError(
            f"{nbytes} bytes do not hold one compressed item per class, which takes {taken}: give more bytes, "
            "fewer levels or a smaller size"
        )
    return replace(method, factorization=replace(sized(fits), nbytes=nbytes - labels(fits)))
