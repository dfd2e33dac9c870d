"""Dataset distillation for pre-trained self-supervised vision models (Cazenavette et al. 2025)."""

from __future__ import annotations

from torch import nn

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Pyramid
from ddcore.matching import GradientMatching
from ddcore.methods.idc import all_of
from ddcore.methods.presets import settled_preset
from ddcore.networks import LinearProbe
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import FreshHeads


def linear_gradient_matching(ipc: Ipc = 1, preset: str | None = None, backbone: nn.Module | None = None) -> Method:
    """Match the gradient of a random linear classifier on a frozen backbone. Images are pyramids.

    Settings of the paper's code (arXiv:2511.16674): 5000 steps, a new classifier each (standard
    deviation .01), one gradient for all classes, the cosine of all of it, ten real examples for
    each synthetic one, Adam at .002, a new level every 200 steps, decorrelated colours.

    Ours: each class has one draw of mirroring, scaling and cropping, for real and synthetic
    examples alike, where the code crops every example on its own, ten times for synthetic ones, and
    adds noise; real batches hold as many examples of every class. Preset ``cpu``: 300 steps at .05,
    a level every 40 steps, ten real examples at least.

    Args:
        ipc: images per class.
        preset: ``paper`` or ``cpu``.
        backbone: maps normalised images to features. A run needs it: give it here, or put a source
            in place of the networks (`Method.on_networks`).
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    return Method(
        name="linear_gradient_matching",
        preset=preset,
        cites=("linear_gradient_matching", "dc", "dsa"),
        factorization=Pyramid(ipc=ipc, every=40 if cpu else 200),
        matching=GradientMatching(
            distance="vector_cosine", layers="head", groups="joint", real_batch=10 * largest_ipc(ipc)
        ),
        networks=FreshHeads(LinearProbe(backbone)),
        optimiser=Optimiser("adam", learning_rate=0.05 if cpu else 2e-3),
        augmentation=all_of("flip", "scale", "crop"),
        steps=300 if cpu else 5000,
    )
