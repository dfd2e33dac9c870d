"""Distances between the feature distributions of two sets."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def squared_mean_difference(synthetic: Tensor, real: Tensor) -> Tensor:
    r"""Squared distance of mean embeddings.

    It is an empirical squared MMD with a linear kernel on features.

    .. math:: \sum_c \Big\|
       \mathbb{E}_{x \sim D^c}[\psi(x)] - \mathbb{E}_{x \sim D^c_{syn}}[\psi(x)] \Big\|^2

    Args:
        synthetic: class means, ``classes x d``; keeps its graph.
        real: class means, ``classes x d``, no graph.

    Returns:
        Scalar, at least 0: summed over classes *and* feature dimensions.

    Source: Zhao & Bilen 2023 (arXiv:2110.04181), equation 4; survey, equation 11.
    """
    return (synthetic - real).square().sum()


def centroid_cross_entropy(features: Tensor, centroids: Tensor, targets: Tensor) -> Tensor:
    r"""Cross-entropy of the linear classifier whose weights are class centroids.

    It is summed over examples.

    .. math:: \sum_i -\log
       \frac{\exp \langle r_i, \bar s_{y_i} \rangle}{\sum_c \exp \langle r_i, \bar s_c \rangle}

    Args:
        features: real examples' features :math:`r_i`, ``n x d``, no graph.
        centroids: synthetic class means, ``classes x d``; keeps its graph.
        targets: row of ``centroids`` that each example belongs to, ``n``.

    Source: Wang et al. 2022 (arXiv:2203.01531), equation 6; survey, equation 12.
    """
    return F.cross_entropy(features @ centroids.T, targets, reduction="sum")
