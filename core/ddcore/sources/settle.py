"""Before gradients or features are taken, a network is put at rest."""

from __future__ import annotations

import torch
from torch import nn

from ddcore.parts import Network, Run

EXAMPLES_PER_CLASS = 16


def settle(network: Network, run: Run) -> None:
    """Put ``network`` into evaluation mode, with BatchNorm statistics of 16 real images per class.

    Batches of one class, or of one image, have no statistics worth the name. Networks without BatchNorm ask for no data. Dropout
    is off: real and synthetic examples are compared on one network.

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
        norm.momentum = 1.0  # the statistics are those of the batch; None would too, but make a GPU's host wait
        norm.train()
    with torch.no_grad(), run.autocast():
        network(real.inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
