"""Frozen BatchNorm statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from ddcore.networks.network import Network
    from ddcore.run import Run

EXAMPLES_PER_CLASS = 16


def freeze_batch_norm(network: Network, run: Run) -> None:
    """Give every BatchNorm the statistics of 16 real images per class, and keep them fixed while gradients are taken.

    Batches of one class, or of one image, have no statistics worth the name. Networks without BatchNorm ask for no data.

    Source: Zhao et al. 2021 (arXiv:2006.05929), section 4.1.
    """
    norms = [m for m in network.module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    real = run.real.batch(run.spec.classes, EXAMPLES_PER_CLASS, "batch-norm")
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over batches: here, of the one
        norm.train()
    with torch.no_grad(), run.autocast():
        network(real.inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
