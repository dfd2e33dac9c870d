"""TESLA: trajectory matching with the published approximation of its gradient."""

from __future__ import annotations

from dataclasses import replace

from ddcore.matching import TrajectoryMatching
from ddcore.methods.mtt import PUBLISHED as MTT_PUBLISHED
from ddcore.methods.mtt import Segment, Table, mtt, published_segment, with_segment
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method

PUBLISHED: Table = {
    **MTT_PUBLISHED,
    "cifar10": {**MTT_PUBLISHED["cifar10"], 1: Segment(50, 2, 5, 1000.0, 1e-7, zca=False)},
}
"""The source's own settings are those of CIFAR-10 at 1 and CIFAR-100 at 50 per class.

The others are MTT's.
"""

LOST_FACTOR = 2.0
"""The code's gradient of the images is half of the loss's.

Ours is whole, at half the published learning rate.
"""


def tesla(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """MTT whose gradient takes the weights of every inner step as given.

    The paper (arXiv:2211.10586) derives an exact gradient in constant memory. Its code leaves out
    how each step's weights depend on the examples of earlier steps. This is what the code does. MTT
    has the exact one here. Labels are hard, as in its CIFAR commands. To take them from the target
    expert at every step, set ``matching.labels=assigned`` with ``factorization.labels=soft``.
    Settings of the paper's code: 10 000 steps. Preset ``cpu``: MTT's.
    """
    preset = settled_preset(preset)
    method = mtt(ipc, preset, data)
    assert isinstance(method.matching, TrajectoryMatching)
    method = replace(
        method, name="tesla", cites=("tesla", "mtt", "dsa"), matching=replace(method.matching, gradient="detached")
    )
    if preset == "cpu":
        return method
    segment = published_segment(PUBLISHED, ipc, data)
    halved = segment._replace(image_rate=segment.image_rate / LOST_FACTOR)
    return replace(with_segment(method, halved, whitened=data in PUBLISHED), steps=10_000)
