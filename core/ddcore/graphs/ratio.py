"""How many synthetic nodes each class gets for a share of a graph's nodes."""

from __future__ import annotations

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
    total = int(ratio * every)
    labelled = sum(counts.values())
    if not len(counts) <= total <= labelled:
        raise BudgetError(
            f"a ratio of {ratio} is {total} of {every} nodes: it must give one to each of {len(counts)} classes, and at most "
            f"{labelled}, the labelled ones"
        )
    share, largest = total / labelled, list(counts)[-1]
    sizes = {c: max(1, int(n * share + 1e-9)) for c, n in counts.items() if c != largest}
    sizes[largest] = total - sum(sizes.values())
    return dict(sorted(sizes.items()))
