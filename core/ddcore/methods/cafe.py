"""CAFE: condensing a dataset by aligning features."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.matching import FeatureAlignment
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation
from ddcore.sources import Plateau, TrainedOnSynthetic


def cafe(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Align class means of all layers, on networks that train on the synthetic set.

    Accuracy on real data says how long a network is kept.

    Settings of the paper (arXiv:2203.01531, section 4.1 and its code): 2000 networks, 256 real
    examples per class, image learning rate .1, halved at .6, .8 and .9 of the run, momentum .5,
    noise initialisation. The steps on a network are bounded by 50 here, and a run counts steps:
    2000 networks of 20. A check carries a tenth of the one before, as there.

    Preset ``cpu``: 200 steps, checks on 16 examples per class, real initialisation.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    plateau = Plateau(examples=16, max_inner=20) if cpu else Plateau(carried=True)
    return Method(
        name="cafe",
        preset=preset,
        cites=("cafe",),
        factorization=Pixels(ipc=ipc, init="random" if cpu else "noise"),
        matching=FeatureAlignment(),
        networks=TrainedOnSynthetic(ConvNet(), plateau=plateau),
        optimiser=Optimiser("sgd", learning_rate=0.1, momentum=0.5, drops=(0.6, 0.8, 0.9), drop=0.5),
        augmentation=NoAugmentation(),
        steps=200 if cpu else 2000 * 20,
        protocol="cafe",
    )
