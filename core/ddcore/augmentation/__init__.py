"""Differentiable augmentation."""

from ddcore.augmentation.base import Augmentation, NoAugmentation, View
from ddcore.augmentation.chain import Chain
from ddcore.augmentation.cutmix import CutMix
from ddcore.augmentation.one_move import OneMove
from ddcore.augmentation.siamese import FAMILIES, SiameseAugmentation

__all__ = ["FAMILIES", "Augmentation", "Chain", "CutMix", "NoAugmentation", "OneMove", "SiameseAugmentation", "View"]
