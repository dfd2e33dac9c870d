"""Class sizes, where they are not public: noisy ones, paid for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from opacus.accountants import IAccountant
from torch import nn

from ddapps.privacy.certificate import MAX_SIGMA, MIN_SIGMA
from ddapps.privacy.entropy import Entropy, SystemEntropy
from ddapps.privacy.mechanism import NoisySum, give
from ddcore.errors import InputDataError, Setting
from ddcore.parts import TargetData
from ddcore.settings import require

DECLARE_CLASSES = Setting("num_classes", call="load_data(..., classes=range(10), num_classes=10)")


def release_counts(
    target: TargetData, noise_multiplier: float, accountant: IAccountant, *, entropy: Entropy | None = None
) -> dict[int, int]:
    r"""Return class sizes with noise :math:`\mathcal N(0, \sigma^2)` each, at least 1.

    An example is counted in one class, so the sizes together move by 1 when it comes or goes.
    ``accountant`` is told of one full-batch answer. Pass both on: ``privatize(..., counts=counts,
    accountant=accountant)``. The ledger of the data learns of it with that run, and not before.

    Args:
        target: the private data.
        noise_multiplier: :math:`\sigma`, the standard deviation in examples.
        accountant: an Opacus accountant.
        entropy: of the noise; default: the operating system.
    """
    require(
        MIN_SIGMA <= noise_multiplier <= MAX_SIGMA,
        f"noise_multiplier must lie in [{MIN_SIGMA:g}, {MAX_SIGMA:g}], not {noise_multiplier}",
    )
    if "classes" in target.spec.read_from_examples:
        raise InputDataError(
            f"the classes of {target.name} were read from its private examples: declare them, ", DECLARE_CLASSES
        )
    accountant.step(noise_multiplier=noise_multiplier, sample_rate=1.0)
    sizes = nn.Parameter(torch.zeros(target.spec.num_classes))
    total = NoisySum([sizes], noise_multiplier, 1.0, entropy or SystemEntropy())
    give(sizes, F.one_hot(target.train.targets, target.spec.num_classes).float())
    total.add(len(target.train))
    (noisy,) = total.release()
    return {c: max(1, round(float(noisy[c]))) for c in target.spec.classes}
