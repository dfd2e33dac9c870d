"""How many synthetic nodes each class gets for a share of a graph's nodes."""

from __future__ import annotations

import math

from ddcore.errors import BudgetError
from ddcore.graphs.nodes import nodes_of
from ddcore.parts import TargetData


def ipc_for_ratio(target: TargetData, ratio: float) -> dict[int, int]:
    r"""Return the number of synthetic nodes per class for ``ratio`` of all nodes.

    Of N nodes, n are labelled for training, :math:`n_c` of them of class c. There are :math:`m =
    \lfloor \mathrm{ratio}\, N \rfloor` synthetic ones. A class gets :math:`\lfloor n_c m / n
    \rfloor`, at least one; the largest class gets what is left.

    Raises:
        BudgetError: that is not one node per class, or more than are labelled.

    Source: Jin et al. 2022 (arXiv:2110.07580) and its code.
    """
    whole = nodes_of((target.test or target.train).inputs, f"a ratio's examples, those of {target.name},")
    counts = dict(sorted(target.counts().items(), key=lambda item: item[1]))
    every = len(whole.graph.features)
    labelled = sum(counts.values())
    total = int(ratio * every) if math.isfinite(ratio) else 0
    if not len(counts) <= total <= labelled:
        raise BudgetError(
            f"a ratio of {ratio} is {total} of {every} nodes: it must give one to each of {len(counts)} classes, and at most "
            f"{labelled}, the labelled ones"
        )
    *others, largest = counts
    sizes = {c: max(1, counts[c] * total // labelled) for c in others}
    sizes[largest] = total - sum(sizes.values())
    if not 1 <= sizes[largest] <= counts[largest]:
        raise BudgetError(
            f"a ratio of {ratio} leaves {sizes[largest]} nodes to class {largest}, which has {counts[largest]}: say sizes by ipc"
        )
    return dict(sorted(sizes.items()))
