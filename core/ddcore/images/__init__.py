"""Images: their data, networks, factorizations and augmentation."""

from ddcore.data.npz import read_npz
from ddcore.images import augmentation
from ddcore.images.augmentation import (
    FAMILIES,
    Chain,
    CutMix,
    OneMove,
    RandomResizedCrop,
    RandomRoll,
    SiameseAugmentation,
)
from ddcore.images.factorizations import (
    Contrast,
    Frequencies,
    FreshGenerator,
    GeneratorLatents,
    GeneratorSource,
    GivenGenerator,
    Hallucinators,
    LatentCodes,
    LinearBases,
    LowResolution,
    MultiFormation,
    Pixels,
    Pyramid,
    SmallGenerator,
    TrainedGenerator,
)
from ddcore.images.feature_skew import FeatureSkew
from ddcore.images.loading import load_images
from ddcore.images.modality import Images
from ddcore.images.networks import VGG11, AlexNet, ConvNet, LeNet, ResNet18
from ddcore.images.normalisation import ZCA, Standardise, fit_normalisation
from ddcore.images.protocols import IMAGE_PROTOCOLS
from ddcore.images.scored_crops import ScoredCrops
from ddcore.images.show import draw
from ddcore.images.sources import NAMED
from ddcore.images.spec import ImageSpec
from ddcore.parts import AUGMENTATIONS, RULES, add_modality
from ddcore.training import PROTOCOLS

add_modality(Images())
RULES[ScoredCrops.name] = ScoredCrops
AUGMENTATIONS.update(
    {a.__name__: a for a in (Chain, CutMix, OneMove, RandomResizedCrop, RandomRoll, SiameseAugmentation)}
)
PROTOCOLS.update({protocol.name: protocol for protocol in IMAGE_PROTOCOLS})

__all__ = [
    "FAMILIES",
    "NAMED",
    "VGG11",
    "ZCA",
    "AlexNet",
    "Chain",
    "Contrast",
    "ConvNet",
    "CutMix",
    "FeatureSkew",
    "Frequencies",
    "FreshGenerator",
    "GeneratorLatents",
    "GeneratorSource",
    "GivenGenerator",
    "Hallucinators",
    "ImageSpec",
    "Images",
    "LatentCodes",
    "LeNet",
    "LinearBases",
    "LowResolution",
    "MultiFormation",
    "OneMove",
    "Pixels",
    "Pyramid",
    "RandomResizedCrop",
    "RandomRoll",
    "ResNet18",
    "ScoredCrops",
    "SiameseAugmentation",
    "SmallGenerator",
    "Standardise",
    "TrainedGenerator",
    "augmentation",
    "draw",
    "fit_normalisation",
    "load_images",
    "read_npz",
]
