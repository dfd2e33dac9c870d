"""Differentiable augmentation."""

from ddcore.augmentation.base import Augmentation, NoAugmentation, View
from ddcore.augmentation.siamese import FAMILIES, SiameseAugmentation

__all__ = ["FAMILIES", "Augmentation", "NoAugmentation", "SiameseAugmentation", "View"]
