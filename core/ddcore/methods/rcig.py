"""RCIG: dataset distillation with convexified implicit gradients."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, Pixels
from ddcore.matching import ConvexifiedTraining
from ddcore.methods.presets import WHITENED_DATA, entry_for, settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import NetworkPool

MIRRORED = {
    "mnist": {1: False},
    "fashion-mnist": {1: False},
    "cifar100": {1: True, 50: False},
    "tiny-imagenet": {1: True, 10: False},
}
"""Whether images stand mirrored too, where the source does not always do so. Digits never are."""


def rcig(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Differentiate implicitly through the training of linearised networks.

    The networks come from a pool that trains on the synthetic set.

    Settings of the paper (arXiv:2302.06755 and its code): ridge 5e-4 per example, 20 steps of Adam
    for the weights and 20 for the inverse Hessian, a cross-entropy with Platt's scale (rate .03),
    label margin, implicit gradients clipped, 1024 real examples, AdaBelief at 3e-3, learned labels,
    10 000 steps. A pool of 30: members take 1 to 15 updates of Adam at 5e-5 after they are matched
    on, and retire at 100. Widths double from block to block, weights have variance 1 / fan-in,
    there is no norm, and ReLUs are softened (but for Tiny ImageNet). Images stand mirrored too,
    where `frepo` has them so, and at 10 per class of CIFAR-100. What is stored are averages over
    the steps, with decay .99. Its pool trains on mirrored copies too.

    Preset ``cpu``: 5 steps of conjugate gradients, Adam at .1 along a cosine, 10 networks of
    constant width with instance norm, 32 real examples per class, 150 steps.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    activation = "relu" if data == "tiny-imagenet" else "softplus"
    network = (
        ConvNet(width=128) if cpu else ConvNet(width=128, norm="none", widening=2, init="lecun", activation=activation)
    )
    return Method(
        name="rcig",
        preset=preset,
        cites=("rcig", "frepo"),
        factorization=Pixels(ipc=ipc, init="random", labels="soft", label_init="centred"),
        matching=ConvexifiedTraining(
            solver="cg" if cpu else "adam",
            solver_steps=5 if cpu else 20,
            real_batch=32,
            real_total=None if cpu else 1024,
            mirrored=entry_for(MIRRORED.get(data or "", {1: True}), largest_ipc(ipc)),
        ),
        networks=NetworkPool(
            network,
            size=10 if cpu else 30,
            max_age=100,
            learning_rate=3e-4 if cpu else 5e-5,
            most_updates=15,
            staggered=cpu,
        ),
        optimiser=Optimiser(
            "adam" if cpu else "adabelief",
            learning_rate=0.1 if cpu else 3e-3,
            group_learning_rates={"platt": 0.03},
            schedule="cosine" if cpu else "constant",
            average=0.0 if cpu else 0.99,
        ),
        augmentation=NoAugmentation(),
        steps=150 if cpu else 10_000,
        precision="fp32",
        normalisation=None if cpu or data not in WHITENED_DATA else "zca-standard",
        protocol="frepo-grey" if data in ("mnist", "fashion-mnist") else "frepo",
    )
