"""FTD: flat trajectory distillation."""

from __future__ import annotations

from dataclasses import replace

from ddcore.methods.mtt import Segment, Table, mtt, published_segment, with_segment
from ddcore.methods.presets import entry_for, settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import ExpertSegments

PUBLISHED: Table = {
    "cifar10": {
        1: Segment(50, 2, 2, 100.0, 1e-7),
        10: Segment(30, 2, 20, 100.0, 1e-5, first_step_size=0.001),
        50: Segment(30, 2, 40, 1000.0, 1e-5),
    },
    "cifar100": {
        1: Segment(40, 3, 20, 1000.0, 1e-5),
        10: Segment(20, 2, 40, 1000.0, 1e-5),
        50: Segment(80, 2, 40, 1000.0, 1e-5, batch=1000),
    },
    "tiny-imagenet": {
        1: Segment(30, 2, 10, 1e4, 1e-4, zca=False),
        10: Segment(20, 2, 40, 1e4, 1e-4, zca=False, batch=500),
    },
}
CIFAR10_GAP = {1: 0.3, 10: 0.3, 50: 1.0}


def ftd(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """MTT whose experts train towards flat regions.

    Errors along the trajectory then do not add up.

    Settings of the paper (arXiv:2211.11004, the table in its repository): experts by
    sharpness-aware descent of radius .01 and gap .3 for CIFAR-10 up to 10 per class, else 1.
    Segments by ipc. Images are averaged over the steps with decay .9995, as its scripts say; they
    report the better of last and averaged images, here it is the averaged ones. CIFAR is whitened
    as in its scripts; its table does not say for which settings.

    Preset ``cpu``: gap .4, else MTT's.
    """
    preset = settled_preset(preset)
    method, cpu = mtt(ipc, preset, data), preset == "cpu"
    assert isinstance(method.networks, ExpertSegments)
    of_cifar10 = data not in PUBLISHED or data == "cifar10"
    gap = 0.4 if cpu else entry_for(CIFAR10_GAP, largest_ipc(ipc)) if of_cifar10 else 1.0
    training = replace(method.networks.training, sharpness=0.01, gap=gap)
    method = replace(
        method, name="ftd", cites=("ftd", "mtt", "dsa"), networks=replace(method.networks, training=training)
    )
    if cpu:
        return method
    method = replace(method, optimiser=replace(method.optimiser, average=0.9995))
    return with_segment(method, published_segment(PUBLISHED, ipc, data), whitened=data in PUBLISHED)
