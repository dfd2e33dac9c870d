"""What factorizations with several small shared networks have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ddcore.ground.devices import recurring

MAX_NETWORKS = 64


def each_by_its_own(
    items: Tensor,
    which: Tensor,
    one: Callable[[Tensor, int, Mapping[str, Tensor]], Tensor],
    shared: Mapping[str, Tensor],
) -> Tensor:
    """Return what network ``which[i]`` makes of item ``i``.

    ``one(items, j, shared)`` is called for each network ``j`` that is asked for.
    """
    if len(which) == 0:
        return one(items, 0, shared)
    asked = which.unique().tolist()
    places = [(which == j).nonzero().squeeze(1) for j in asked]
    made = [one(items[recurring(mine, items.device)], j, shared) for j, mine in zip(asked, places, strict=True)]
    back = torch.cat(places).argsort()
    return torch.cat(made)[recurring(back, items.device)]


def default_weights(like: Mapping[str, Tensor], generator: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return weights as torch draws those of convolutions: uniform, bound 1/sqrt(fan-in).

    The first dimension is over several networks, drawn at once. A ``bias`` takes the bound of the
    ``weight`` of the same layer.
    """
    weights = {}
    for name, tensor in like.items():
        layer = name.rpartition(".")[0]
        bound = 1 / math.sqrt(math.prod(like[f"{layer}.weight"].shape[2:]))
        weights[name] = torch.empty(tensor.shape, dtype=dtype).uniform_(-bound, bound, generator=generator)
    return weights
