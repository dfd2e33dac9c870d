"""The two scores of DD-Ranking: how much of a result survives other labels, other augmentation."""

from __future__ import annotations

import math

from ddcore.settings import require


def label_robust_score(full_hard: float, hard: float, own: float, random: float, *, weight: float = 0.5) -> float:
    r"""Return the label-robust score.

    The hard-label recovery is :math:`\mathrm{HLR} = a_{full} - a_{hard}`, and the improvement over
    random :math:`\mathrm{IOR} = a_{own} - a_{random}`. With
    :math:`\alpha = w\,\mathrm{IOR} - (1 - w)\,\mathrm{HLR}` the score is

    .. math:: \frac{e^\alpha - e^{-1}}{e - e^{-1}}.

    Args:
        full_hard: accuracy of all real data under hard labels, a share in [0, 1].
        hard: that of the summary under hard labels.
        own: that of the summary under the labels of its own protocol.
        random: that of random selection under labels of the same kind.
        weight: :math:`w`.

    Source: Li et al. 2025 (arXiv:2505.13300). Its released code exponentiates percentages; these
    are shares, as the definition has it.
    """
    _require_shares(full_hard, hard, own, random)
    return _between(weight * (own - random) - (1 - weight) * (full_hard - hard))


def augmentation_robust_score(
    augmented: float, random_augmented: float, plain: float, random_plain: float, *, weight: float = 0.5
) -> float:
    r"""Return the augmentation-robust score.

    .. math:: \beta = g (a_{aug} - r_{aug}) + (1 - g) (a_{plain} - r_{plain}), \qquad
       \frac{e^\beta - e^{-1}}{e - e^{-1}}

    Args:
        augmented: accuracy of the summary with augmentation, a share in [0, 1].
        random_augmented: that of random selection.
        plain: accuracy of the summary without augmentation.
        random_plain: that of random selection.
        weight: :math:`g`.

    Source: Li et al. 2025 (arXiv:2505.13300).
    """
    _require_shares(augmented, random_augmented, plain, random_plain)
    return _between(weight * (augmented - random_augmented) + (1 - weight) * (plain - random_plain))


def _require_shares(*accuracies: float) -> None:
    require(all(0 <= a <= 1 for a in accuracies), f"accuracies are shares in [0, 1], not {accuracies}")


def _between(exponent: float) -> float:
    return (math.exp(exponent) - math.exp(-1)) / (math.e - math.exp(-1))
