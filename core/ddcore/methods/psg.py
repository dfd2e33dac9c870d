"""PSG: private set generation with discriminative information."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.matching import GradientMatching
from ddcore.methods.dc import NETWORKS
from ddcore.methods.loops import loops_for
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import TrainedOnSynthetic

STEPS_PER_STATE = 10


def psg(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Match one gradient of a class-mixed batch with that of the whole synthetic set.

    A step asks one question of the real data. The method is made for `ddapps.privacy`, where every
    question costs. Without it, it is DC with a joint gradient.

    Settings of the paper (arXiv:2211.04446 and its code): 1000 networks, states of a network by
    ipc, 10 matching steps on each state, 256 real examples in all, row-wise cosine distance, image
    learning rate .1, momentum .5, noise initialisation.

    Preset ``cpu``: 50 steps, each on a fresh network of width 16 and on about 256 real examples per
    class, two updates of rate 3 on each real gradient. These were chosen on a validation split of
    digits, at epsilon 10.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    outer, inner = (1, 1) if cpu else loops_for(largest_ipc(ipc))
    return Method(
        name="psg",
        preset=preset,
        cites=("psg", "dc"),
        factorization=Pixels(ipc=ipc, init="noise"),
        matching=GradientMatching(
            groups="joint", real_total=None if cpu else 256, updates_per_gradient=2 if cpu else 1
        ),
        networks=TrainedOnSynthetic(
            architecture=ConvNet(width=16) if cpu else ConvNet(),
            outer=outer,
            inner=inner,
            steps_per_state=1 if cpu else STEPS_PER_STATE,
        ),
        optimiser=Optimiser("sgd", learning_rate=3.0 if cpu else 0.1, momentum=0.5),
        augmentation=NoAugmentation(),
        steps=50 if cpu else NETWORKS * outer * STEPS_PER_STATE,
        protocol="dc-mnist" if data in ("mnist", "fashion-mnist") else "dc",
    )
