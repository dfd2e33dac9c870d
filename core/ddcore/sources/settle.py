"""Putting a network at rest before gradients or features are taken."""

from __future__ import annotations

import torch
from torch import nn

from ddcore.parts import Network, Run

EXAMPLES_PER_CLASS = 16


def settle(network: Network, run: Run) -> None:
    """Put ``network`` into evaluation mode. BatchNorm has the statistics of 16 examples per class.

    These examples are real. A batch of one class or of one example would give no useful
    statistics. Networks without BatchNorm ask for no data. Dropout is off, so real and synthetic
    examples see one network.

    Source: Zhao et al. 2021 (arXiv:2006.05929), section 4.1.
    """
    network.eval()
    modules = network.module.modules()
    norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None]
    if not norms:
        return
    real = run.real.batch(run.spec.classes, EXAMPLES_PER_CLASS, "batch-norm")
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        # Momentum 1 takes the statistics of the batch. None would too, but the host of a GPU waits.
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad(), run.autocast():
        network(real.inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
