"""What recommends without learning much: popularity, and EASE in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddcore.interactions.choice import best_of
from ddcore.parts import Batch, Learner, Predictor, Spec, Validate, as_dense, as_sparse, inner_products
from ddcore.settings import require

RIDGES = (1.0, 10.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


@dataclass(frozen=True)
class Popularity(Learner):
    """Every user gets the items that most users have."""

    name: ClassVar[str] = "popularity"
    modality: ClassVar[str | None] = "interactions"
    random: ClassVar[bool] = False

    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        counts = as_sparse(examples.inputs).column_sums()
        return lambda inputs: counts.expand(len(inputs), -1)


@dataclass(frozen=True)
class EASE(Learner):
    r"""Embarrassingly shallow autoencoder: linear regression of each item on the others.

    .. math:: f(x) = x B, \qquad B = I - P\,\mathrm{diag}(P)^{-1}, \qquad
       P = (X^\top X + \lambda I)^{-1}

    Where users are fewer than items, P is found from a matrix of users (Woodbury):
    :math:`\lambda P = I - X^\top (X X^\top + \lambda I)^{-1} X`. Nothing of the size items x items
    is then made.

    Attributes:
        ridges: values of :math:`\lambda`. The best on validation data counts; the first where
            there are none.

    Source: Steck 2019 (arXiv:1905.03375).
    """

    ridges: tuple[float, ...] = RIDGES
    name: ClassVar[str] = "ease"
    modality: ClassVar[str | None] = "interactions"
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(bool(self.ridges) and all(r > 0 for r in self.ridges), "ridges of EASE are positive numbers")

    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        rows = examples.inputs.double()
        solve = _by_users if len(rows) < spec.num_classes else _by_items
        return best_of((solve(rows, ridge) for ridge in self.ridges), validate, spec.task.score)


def _by_users(rows: Tensor, ridge: float) -> Predictor:
    gram = inner_products(rows, rows)
    dense = as_dense(rows)
    dual = torch.linalg.solve(gram + ridge * torch.eye(len(dense), dtype=gram.dtype, device=gram.device), dense)
    diagonal = 1 - (dense * dual).sum(dim=0)

    def predict(inputs: Tensor) -> Tensor:
        given = inputs.double()
        scores: Tensor = as_dense(given) - (as_dense(given) - inner_products(given, rows) @ dual) / diagonal
        return scores

    return predict


def _by_items(rows: Tensor, ridge: float) -> Predictor:
    columns = as_dense(rows)
    gram = columns.T @ columns
    inverse = torch.linalg.inv(gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    weights = -inverse / inverse.diagonal()
    weights.fill_diagonal_(0.0)

    def predict(inputs: Tensor) -> Tensor:
        scores: Tensor = as_dense(inputs.double()) @ weights
        return scores

    return predict
