"""Sparse rows are the dense rows that they stand for."""

from __future__ import annotations

import pytest
import torch

from ddcore.errors import UnsupportedError
from ddcore.kernels import AnalyticKernel
from ddcore.parts import SparseRows, as_dense, as_sparse, inner_products, squared_norms


@pytest.fixture
def dense() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    rows = torch.rand(9, 13, generator=random, dtype=torch.float64)
    return rows * (torch.rand(9, 13, generator=random) < 0.3) * (torch.arange(9) != 4)[:, None]  # row 4 is empty


def test_they_are_indexed_joined_and_measured_as_the_dense_rows_are(dense: torch.Tensor) -> None:
    rows = as_sparse(dense)
    assert (len(rows), rows.shape, rows.ndim) == (9, torch.Size((9, 13)), 2)
    assert torch.equal(as_dense(rows), dense)
    chosen = torch.tensor([4, 8, 0, 0])
    assert torch.equal(as_dense(rows[chosen]), dense[chosen])
    assert torch.equal(as_dense(rows[2:5]), dense[2:5])
    assert torch.equal(as_dense(rows[dense.sum(dim=1) > 1]), dense[dense.sum(dim=1) > 1])
    joined = torch.cat([part.as_inputs() for part in rows.split(4)])
    assert torch.equal(as_dense(joined), dense)
    assert torch.allclose(rows.sums(), dense.sum(dim=1)) and torch.allclose(rows.column_sums(), dense.sum(dim=0))
    assert rows.sizes().tolist() == (dense != 0).sum(dim=1).tolist()
    assert rows.float().dtype == torch.float32


def test_their_products_are_those_of_the_dense_rows_and_so_are_the_derivatives(dense: torch.Tensor) -> None:
    other = torch.rand(5, 13, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows, sparse_other = as_sparse(dense), as_sparse(other * (other > 0.5))
    assert torch.allclose(inner_products(rows, other), dense @ other.T, atol=1e-12)
    assert torch.allclose(inner_products(other, rows), other @ dense.T, atol=1e-12)
    assert torch.allclose(inner_products(rows, sparse_other), dense @ as_dense(sparse_other).T, atol=1e-12)
    assert torch.allclose(squared_norms(rows), dense.square().sum(dim=1))
    weight = torch.rand(9, 5, dtype=torch.float64)
    gradients = []
    for left in (rows, dense):
        support = other.clone().requires_grad_()
        (inner_products(left, support) * weight).sum().backward()
        gradients.append(support.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-12)  # type: ignore[arg-type]


def test_the_kernel_of_sparse_rows_is_that_of_the_dense_ones(dense: torch.Tensor) -> None:
    kernel = AnalyticKernel("ntk", "fc", depth=2)
    full = dense[dense.sum(dim=1) > 0]
    embedded = kernel.embed(as_sparse(full).as_inputs(), ())
    assert isinstance(embedded, SparseRows)
    assert torch.allclose(kernel.product(embedded, embedded), kernel.product(full, full), atol=1e-12)


NEURAL_TANGENTS = {
    (1, 0.1): [
        [1.744285714285715, 0.5920659762925591, 1.0976412521844492, 0.18128188519480679, 0.810281943558093],
        [0.5920659762925591, 1.1728571428571433, 1.071162256362748, 0.15210316250229775, 0.3621718581840936],
        [1.0976412521844492, 1.071162256362748, 2.887142857142858, 0.579348472386683, 0.9497628319009193],
        [0.18128188519480679, 0.15210316250229775, 0.579348472386683, 0.6014285714285716, 0.5480136635266997],
        [0.810281943558093, 0.3621718581840936, 0.9497628319009193, 0.5480136635266997, 1.1014285714285719],
    ],
    (2, 0.3): [
        [3.1114285714285734, 1.2874867500658058, 1.9918113992650037, 0.7466195316636166, 1.5732039611179163],
        [1.2874867500658058, 2.2542857142857153, 1.9366130780812387, 0.6816763486758187, 0.972349853656511],
        [1.9918113992650037, 1.9366130780812387, 4.82571428571429, 1.2713505250458752, 1.77318319507256],
        [0.7466195316636166, 0.6816763486758187, 1.2713505250458752, 1.397142857142858, 1.2142929351265481],
        [1.5732039611179163, 0.972349853656511, 1.77318319507256, 1.2142929351265481, 2.1471428571428577],
    ],
}
"""Tangent kernels by depth and bias, computed once with neural-tangents 0.6.5 in float64."""


@pytest.mark.parametrize(("depth", "bias"), NEURAL_TANGENTS)
def test_the_kernel_with_biases_agrees_with_neural_tangents(depth: int, bias: float) -> None:
    rows = torch.tensor(
        [
            [1, 0, 1, 0, 0, 1, 0],
            [0, 1, 1, 0, 0, 0, 0],
            [1, 1, 1, 1, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 1],
            [0.25, 0, 0.5, 0, 0, 0.75, 1],
        ],
        dtype=torch.float64,
    )
    kernel = AnalyticKernel("ntk", "fc", depth=depth, bias_std=bias)
    wanted = torch.tensor(NEURAL_TANGENTS[depth, bias], dtype=torch.float64)
    for support in (rows, as_sparse(rows)):
        embedded = kernel.embed(support, ())  # type: ignore[arg-type]
        assert float((kernel.product(embedded, embedded) - wanted).abs().max()) < 1e-10


def test_a_single_row_is_refused(dense: torch.Tensor) -> None:
    with pytest.raises(UnsupportedError, match="tensor of indices"):
        as_sparse(dense)[3]  # type: ignore[index]
