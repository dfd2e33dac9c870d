"""Distances between the feature distributions of two sets."""

from __future__ import annotations

from torch import Tensor


def squared_mean_difference(synthetic: Tensor, real: Tensor) -> Tensor:
    r"""Squared distance of mean embeddings, an empirical squared MMD with a linear kernel on features.

    .. math:: \sum_c \Big\| \mathbb{E}_{x \sim D^c}[\psi(x)] - \mathbb{E}_{x \sim D^c_{syn}}[\psi(x)] \Big\|^2

    Args:
        synthetic: class means, ``classes x d``; keeps its graph.
        real: class means, ``classes x d``, no graph.

    Returns:
        Scalar, at least 0: summed over classes *and* feature dimensions.

    Source: Zhao & Bilen 2023 (arXiv:2110.04181), equation 4; survey, equation 11.
    """
    return (synthetic - real).square().sum()
