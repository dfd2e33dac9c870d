"""Random images that cost as much as a proxy does, its making and its pilot included."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from ddapps.nas.combined import CombinedProxy
from ddapps.nas.compared import Comparison
from ddapps.nas.proxies import SummaryProxy
from ddapps.nas.proxy import Proxy
from ddcore.errors import InputDataError
from ddcore.evaluation import Protocol
from ddcore.parts import TargetData

SCORES_OF_RIVALS = ("accuracy", "training-loss")
"""What rivals are scored by: one training tells both."""


def equal_cost_rivals(
    proxy: Proxy, comparison: Comparison, protocol: Protocol, target: TargetData
) -> list[SummaryProxy]:
    r"""Return random images at the whole cost of a proxy.

    With :math:`T` seconds of training on :math:`i` images per class for each of :math:`n`
    architectures, and :math:`M` seconds of making and pilot, they are :math:`i (1 + M / n T)`
    images per class for as many epochs. Where a class has fewer, it is all of the smallest class,
    and the rest is bought in epochs.

    Args:
        proxy: one that trains on a summary. Others have no rivals, nor have random images
            themselves, nor what ranks nothing.
        comparison: what it cost.
        protocol: of training on a proxy.
        target: the data.
    """
    base = proxy.base if isinstance(proxy, CombinedProxy) else proxy
    if not isinstance(base, SummaryProxy) or (proxy == base and base.method == "random"):
        return []
    if not comparison.plans[proxy][0].trainings:
        return []  # a combination of free scores trains on nothing that there could be more of
    try:
        scored = comparison.scored(proxy)
    except InputDataError:
        return []
    trained = len(comparison.sound) * fmean(each.seconds for each in scored)
    extra = comparison.making_seconds(proxy) + fmean(each.pilot_seconds for each in scored)
    if extra != extra:  # a table hides what the pilot cost
        return []
    share = 1 + extra / trained
    most = min(target.counts().values())
    images = min(most, round(base.ipc * share))
    usual = base.epochs or protocol.training.epochs
    epochs = max(usual, round(usual * base.ipc * share / images))
    plain = SummaryProxy(
        method="random",
        ipc=images,
        epochs=0 if epochs == protocol.training.epochs else epochs,
        averaged=getattr(proxy, "averaged", False),
    )
    return [replace(plain, score=score) for score in SCORES_OF_RIVALS]
