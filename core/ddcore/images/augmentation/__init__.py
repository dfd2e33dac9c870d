"""Differentiable augmentation."""

from ddcore.images.augmentation.chain import Chain
from ddcore.images.augmentation.cutmix import CutMix
from ddcore.images.augmentation.one_move import OneMove
from ddcore.images.augmentation.random_resized_crop import RandomResizedCrop
from ddcore.images.augmentation.random_roll import RandomRoll
from ddcore.images.augmentation.siamese import FAMILIES, SiameseAugmentation

__all__ = ["FAMILIES", "Chain", "CutMix", "OneMove", "RandomResizedCrop", "RandomRoll", "SiameseAugmentation"]
