"""DCC: dataset condensation with contrastive signals."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import GradientMatching
from ddcore.methods.dc import NETWORKS
from ddcore.methods.loops import DCC_LOOPS, loops_for
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import TrainedOnSynthetic


def dcc(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Match one gradient of all classes together, under siamese augmentation.

    Such a gradient holds what tells classes apart. The source calls this DSAC; its DCC has no
    augmentation.

    Settings of the paper (arXiv:2202.02916 and its code): those of DSA, with loops of its own. The
    first 10 matching steps on each of the first 250 networks go class by class. Preset ``cpu``: 300
    steps, joint from the fifth network on.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    outer, inner = loops_for(largest_ipc(ipc), DCC_LOOPS)
    return Method(
        name="dcc",
        preset=preset,
        cites=("dcc", "dsa", "dc"),
        factorization=Pixels(ipc=ipc, init="random"),
        matching=GradientMatching(groups="joint", warmup_networks=5 if cpu else 250, warmup_age=10),
        networks=TrainedOnSynthetic(ConvNet(), outer=outer, inner=inner, augment=True),
        optimiser=Optimiser("sgd", learning_rate=0.1, momentum=0.5),
        augmentation=SiameseAugmentation(),
        steps=300 if cpu else NETWORKS * outer,
        protocol="dsa",
    )
