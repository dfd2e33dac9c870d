"""A private signal bound to a run, to be asked directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

import ddcore as dd
from ddapps.privacy import Entropy, Ledger, Mechanism, PrivateSignal, RepeatableEntropy
from ddapps.privacy.accounting import Query
from ddcore.images import ConvNet
from ddcore.parts import Network, NoAugmentation, View


class Unlimited(Ledger):
    """A ledger for mechanisms without noise, which no budget allows."""

    def __init__(self) -> None:
        super().__init__(None, "digest", 500.0, 1e-3, "rdp")

    def open_run(self, words: str, query: tuple[float, float], steps: int, before: Sequence[Query] = ()) -> int:
        return super().open_run(words, (1e6, query[1]), steps, before)


def mechanism(target: dd.TargetData, **changed: Any) -> Mechanism:
    settings: dict[str, Any] = {
        "noise_multiplier": 0.0,
        "max_grad_norm": 32.0,
        "sample_rate": 1.0,
        "steps": 5,
        "epsilon": 1e6,
        "delta": 1e-3,
        "accountant": "rdp",
        "counts": target.counts(),
        "initialisation": "noise",
        "assumed_public": (),
    }
    return Mechanism(**(settings | changed))


def bound(
    target: dd.TargetData,
    *,
    entropy: Entropy | None = None,
    ledger: Ledger | None = None,
    micro_batch: int = 8,
    precision: str = "fp64",
    **changed: Any,
) -> PrivateSignal:
    book = ledger or Unlimited()
    signal = PrivateSignal(target, mechanism(target, **changed), book, {}, entropy or RepeatableEntropy(0))
    bind(signal, target, micro_batch, precision)
    return signal


def bind(signal: dd.data.RealSignal, target: dd.TargetData, micro_batch: int = 8, precision: str = "fp64") -> None:
    run = dd.Run(
        spec=target.spec,
        real=signal,
        augmentation=NoAugmentation(),
        seed=0,
        device=torch.device("cpu"),
        precision=precision,
        micro_batch=micro_batch,
    )
    signal.begin(run)


def network(target: dd.TargetData, architecture: dd.networks.Architecture | None = None) -> Network:
    built = (architecture or ConvNet(width=4)).build(target.spec.shape, 10, seed=1, dtype=torch.float64)
    built.eval()
    return built


def plain_views(target: dd.TargetData) -> Mapping[int, View]:
    view = NoAugmentation().draw(torch.Generator().manual_seed(0))
    return dict.fromkeys(target.spec.classes, view)


def weights(net: Network) -> list[str]:
    return [name for name, weight in net.module.named_parameters() if weight.ndim >= 2]
