"""The task of recommending: to rank the items that a user has not chosen yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.parts import Task, as_dense
from ddcore.settings import require

NAMES = ("ndcg", "hr", "psp")


@dataclass(frozen=True)
class Ranking(Task):
    r"""Outputs are scores of all items. Those that the input holds already are left out.

    Of a user let :math:`P` be the held-out items, and :math:`r_1, r_2, \ldots` all others but the
    input's by falling score. Equal scores keep the order of the catalogue. In percent, and as
    means over users:

    .. math:: \mathrm{HR@}k = \frac{|\{r_1 \ldots r_k\} \cap P|}{\min(|P|, k)}, \qquad
       \mathrm{nDCG@}k = \frac{\sum_{j \le k} [r_j \in P] / \log_2(j + 1)}
       {\sum_{j \le \min(|P|, k)} 1 / \log_2(j + 1)}

    .. math:: \mathrm{PSP@}k = \frac{\sum_{j \le k} [r_j \in P]\, w(r_j) / \min(|P|, k)}
       {\sum_{j \le \min(|P|, k)} w_{(j)}}

    Here :math:`w` is the inverse propensity of an item, and :math:`w_{(j)}` the :math:`j`-th
    largest in :math:`P`: :math:`w = 1 + C (f + 1.5)^{-.55}`, :math:`C = (\ln N - 1) 2.5^{.55}`, for
    an item's frequency :math:`f` among N training interactions. The denominator is the code's; so
    PSP of a perfect ranking is :math:`1 / \min(|P|, k)`. AUC is the chance that an item of P has a
    higher score than one that the user never chose. Equal scores count half. The authors' code
    pools users and draws 50 items for each; here it is the mean over users, and no item is drawn.

    Attributes:
        at: the lengths :math:`k` of lists. The first is that of the main score.
        frequencies: of the items in training. None: PSP is left out.

    Source: Sachdeva et al. 2022 (arXiv:2206.02626), appendix.
    """

    at: tuple[int, ...] = (10, 100)
    frequencies: Tensor | None = field(default=None, compare=False, repr=False)
    name: ClassVar[str] = "ranking"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole = bool(self.at) and all(type(k) is int and k > 0 for k in self.at)
        require(whole, f"lists have a length of at least 1: at={self.at}")

    @property
    def score(self) -> str:
        return f"ndcg@{self.at[0]}"

    def loss(self, wanted: str) -> str:
        return "cross_entropy"

    def class_ids(self, targets: Tensor) -> Tensor:
        return torch.zeros(len(targets), dtype=torch.int64, device=targets.device)

    def score_names(self) -> tuple[str, ...]:
        """Return the names of the scores, the main one first."""
        kinds = NAMES if self.frequencies is not None else NAMES[:2]
        return (*(f"{kind}@{k}" for k in self.at for kind in kinds), "auc")

    def measured(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the scores of each user, ``n x scores``."""
        seen, wanted = _mask(inputs), _mask(targets)
        if not bool(wanted.any(dim=1).all()):
            raise InputDataError("a user has no held-out item to rank: leave such users out")
        if max(self.at) > outputs.shape[1]:
            raise InputDataError(f"lists of {max(self.at)} of {outputs.shape[1]} items: choose a smaller at=")
        outputs = outputs.double().cpu().masked_fill(seen, -math.inf)
        order = outputs.argsort(dim=1, descending=True, stable=True)
        hits = wanted.gather(1, order[:, : max(self.at)]).double()
        counts = wanted.sum(dim=1)
        found = []
        for k in self.at:
            discounts = 1 / torch.arange(2, k + 2, dtype=torch.float64).log2()
            ideal, most = discounts.cumsum(0), counts.clamp(max=k)
            found.append((hits[:, :k] @ discounts) / ideal[most - 1])
            found.append(hits[:, :k].sum(dim=1) / most)
            if self.frequencies is not None:
                weights = inverse_propensities(self.frequencies)
                best = wanted.double().mul(weights).sort(dim=1, descending=True).values[:, :k].sum(dim=1)
                found.append((hits[:, :k] * weights[order[:, :k]]).sum(dim=1) / most / best)
        return 100 * torch.stack([*found, _auc(outputs, seen, wanted)], dim=1)

    def scores(self, measured: Tensor, targets: Tensor) -> dict[str, float]:
        return dict(zip(self.score_names(), measured.nanmean(dim=0).tolist(), strict=True))


def inverse_propensities(frequencies: Tensor) -> Tensor:
    """Return the weight of each item, given how often each was chosen."""
    frequencies = frequencies.double()
    constant = (math.log(float(frequencies.sum())) - 1) * 2.5**0.55
    weights: Tensor = 1 + constant * (frequencies + 1.5) ** -0.55
    return weights


def _mask(rows: Tensor) -> Tensor:
    mask: Tensor = as_dense(rows).cpu() != 0
    return mask


def _auc(outputs: Tensor, seen: Tensor, wanted: Tensor) -> Tensor:
    """Return the chance of each user that a wanted item stands above one never chosen."""
    found = []
    for scores, hidden, held_out in zip(outputs, seen, wanted, strict=True):
        negatives = scores[~hidden & ~held_out].sort().values
        positives = scores[held_out]
        below = torch.searchsorted(negatives, positives) + torch.searchsorted(negatives, positives, right=True)
        found.append(below.double().mean() / 2 / len(negatives) if len(negatives) else torch.tensor(math.nan).double())
    return torch.stack(found)
