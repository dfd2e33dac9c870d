from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import ddcore as dd
from ddapps.privacy import PUBLIC_NORMALISATION


@pytest.fixture(scope="session")
def private_digits() -> dd.TargetData:
    """Three classes of digits of 30, 40 and 20 training examples, with public facts alone."""
    three = dd.load_data("digits", normalisation=PUBLIC_NORMALISATION).of_classes([0, 1, 7])
    sizes = {0: 30, 1: 40, 7: 20}
    chosen = torch.cat([(three.train.targets == c).nonzero().flatten()[:n] for c, n in sizes.items()])
    return replace(three, name="private digits", train=three.train.take(chosen))


@pytest.fixture
def small_psg() -> dd.Method:
    return dd.methods.psg(ipc=2, preset="cpu").on_networks("convnet(width=4)").with_steps(4)
