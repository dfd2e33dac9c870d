"""DC and DSA: dataset condensation with gradient matching.

DSA adds siamese augmentation.
"""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels, SiameseAugmentation
from ddcore.matching import GradientMatching
from ddcore.methods.loops import loops_for
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import TrainedOnSynthetic

NETWORKS = 1000


def dc(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Match each class's gradient on networks that train on the synthetic set.

    Settings of the paper (arXiv:2006.05929, section 4.1 and its code): 1000 networks, matching
    steps on each by ipc, 256 real examples per class, row-wise cosine distance, image learning rate
    .1, momentum .5, noise initialisation. MNIST has an evaluation of its own. Preset ``cpu``: 500
    steps up to 1 per class, else 200.
    """
    preset = settled_preset(preset)
    outer, inner = loops_for(largest_ipc(ipc))
    return Method(
        name="dc",
        preset=preset,
        cites=("dc",),
        factorization=Pixels(ipc=ipc, init="noise"),
        matching=GradientMatching(distance="cosine", real_batch=256),
        networks=TrainedOnSynthetic(ConvNet(), outer=outer, inner=inner),
        optimiser=Optimiser("sgd", learning_rate=0.1, momentum=0.5),
        augmentation=NoAugmentation(),
        steps=cpu_steps(outer) if preset == "cpu" else NETWORKS * outer,
        protocol="dc-mnist" if data == "mnist" else "dc",
    )


def dsa(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """DC under siamese augmentation, initialised with real examples.

    Source: arXiv:2102.08259, section 4.1 and its code.
    """
    preset = settled_preset(preset)
    outer, inner = loops_for(largest_ipc(ipc))
    return Method(
        name="dsa",
        preset=preset,
        cites=("dsa", "dc"),
        factorization=Pixels(ipc=ipc, init="random"),
        matching=GradientMatching(distance="cosine", real_batch=256),
        networks=TrainedOnSynthetic(ConvNet(), outer=outer, inner=inner, augment=True),
        optimiser=Optimiser("sgd", learning_rate=0.1, momentum=0.5),
        augmentation=SiameseAugmentation(),
        steps=cpu_steps(outer) if preset == "cpu" else NETWORKS * outer,
        protocol="dsa",
    )


def cpu_steps(outer: int) -> int:
    """Return matching steps that a processor takes on small images in about two minutes."""
    return 500 if outer == 1 else 200
