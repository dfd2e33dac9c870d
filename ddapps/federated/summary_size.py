"""The size of a client's summary: its method within the agreed limit, and its grey levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

import ddcore as dd
from ddapps.federated.roles import Client
from ddcore.parts import NetworkSource


def sized(
    client: Client, target: dd.TargetData, source: NetworkSource | None, counts: Mapping[int, int] | None = None
) -> dd.Method:
    """Return the method at the size that this client may send.

    A private client's true class sizes are not read: ``counts`` says them.
    """
    compression = client.settings.compression
    if source is not None:
        compression = replace(compression, network=source)
    return compression.within(client.settings.limit(target.spec), target, counts)


def coarser(summary: dd.DataSummary, levels: int) -> dd.DataSummary:
    r"""Return a summary whose images in bytes have only so many levels.

    Each is :math:`\mathrm{round}(x (L - 1) / 255)`, spread over 0 to 255 again. What a codec wrote
    stays: its bytes are no images.
    """
    parts = []
    for part in summary.parts:
        images = part.stored.get("images")
        stored = dict(part.stored)
        if images is not None and images.dtype == torch.uint8 and levels < 256 and not part.factorization.wraps:
            steps = (images.float() * ((levels - 1) / 255)).round()
            stored["images"] = (steps * (255 / (levels - 1))).round().to(torch.uint8)
        parts.append(replace(part, stored=stored))
    return replace(summary, parts=tuple(parts))
