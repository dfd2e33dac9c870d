"""IDC: dataset condensation via efficient synthetic-data parameterization.

It comes with multi-formation and without.
"""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Chain, ConvNet, CutMix, MultiFormation, SiameseAugmentation
from ddcore.matching import GradientMatching
from ddcore.methods.presets import settled_preset
from ddcore.parts import Augmentation, Ipc, Method, largest_ipc
from ddcore.sources import TrainedOnReal

_GREY = ("mnist", "fashion-mnist", "digits")
_HANDWRITING = ("mnist", "digits")
AREAS = {"fashion-mnist": (28 / 32) ** 2, "tiny-imagenet": (64 / 32) ** 2}
"""Area of the images over the area that the source's learning rates are for, where they differ."""


def idc(ipc: Ipc = 10, preset: str | None = None, data: str | None = None, factor: int = 2) -> Method:
    """Match convolutions' gradients class by class, on networks that train on real data.

    The examples are tiles of stored images.

    Settings of the paper (arXiv:2205.14959, appendix B and its code): 2000 networks of 100 matching
    steps, 64 real and at most 128 synthetic examples per class, an update after every class.
    Momentum .5. Images are clamped once per network. Networks train on 8 batches of 64 real images
    between two steps (32 on CIFAR), with CutMix.

    The image learning rate is 5e-3 with squared distance, and 1e-4 with absolute distance on grey
    images. It is multiplied by ipc / 10 and by the images' area over that of 32 x 32 (MNIST:
    28 x 28).

    ``data`` names the data whose settings are taken. Digits, which the paper does not have, take
    MNIST's. Preset ``cpu``: 300 steps, 20 on each network.
    """
    preset = settled_preset(preset)
    cpu, tiles = preset == "cpu", factor > 1
    grey, handwriting, cifar = data in _GREY, data in _HANDWRITING, (data or "cifar10").startswith("cifar")
    without_cutmix = handwriting and tiles
    rate = 1e-4 if grey else 5e-3
    rate *= AREAS.get(data or "", 1.0)
    outer = 20 if cpu else 100
    matched = all_of("color", "crop") if without_cutmix else all_of("color", "crop", "cutout")
    training = all_of("color", "crop") if without_cutmix else Chain((all_of("color", "crop"), CutMix(0.5)))
    return Method(
        name="idc" if tiles else "idc_i",
        preset=preset,
        cites=("idc", "dc") if without_cutmix else ("idc", "dc", "cutmix"),
        factorization=MultiFormation(ipc=ipc, factor=factor, init="random", clamp_every=1 if cpu else outer),
        matching=GradientMatching(
            distance="l1" if grey else "mse",
            layers="conv",
            real_batch=64,
            synthetic_batch=128,
            update_per_class=True,
        ),
        networks=TrainedOnReal(ConvNet(), outer=outer, examples=2048 if cifar else 512, augmentation=training),
        optimiser=Optimiser("sgd", learning_rate=rate * largest_ipc(ipc) / 10, momentum=0.5),
        augmentation=matched,
        steps=300 if cpu else 2000 * outer,
        protocol="idc-mnist" if without_cutmix else "idc",
    )


def idc_i(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """IDC without multi-formation: stored images are the examples."""
    return idc(ipc, preset, data, factor=1)


def all_of(*families: str) -> Augmentation:
    """Return siamese augmentation that applies all of these families, one after the other."""
    return Chain(tuple(SiameseAugmentation((family,)) for family in families))
