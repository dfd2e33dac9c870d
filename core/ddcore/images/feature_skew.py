"""Feature skew: every client sees its images through a fixed transformation of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.ground import generator
from ddcore.images.augmentation.operations import affine, rotation
from ddcore.images.spec import ImageSpec
from ddcore.parts import Split, TargetData, as_unit_float
from ddcore.settings import require


@dataclass(frozen=True)
class FeatureSkew:
    r"""How clients' training images differ. Test and validation images stay as they are.

    Part i of N, from 1, has images

    .. math:: \mathrm{clip}_{[0, 1]}\big(R_{\theta_i} x + b_i + \sigma \tfrac{i}{N} z\big)

    with an angle :math:`\theta_i` and an offset :math:`b_i` of its own, uniform in plus or minus
    ``rotation`` and ``brightness``, and :math:`z` standard normal, drawn once for each pixel. So a
    part's data are fixed, and the last part has the full noise.

    Attributes:
        noise: :math:`\sigma`, a standard deviation where pixels lie in [0, 1].
        rotation: the largest angle, in degrees. What turns in from outside is 0.
        brightness: the largest offset, where pixels lie in [0, 1].

    Source: Li et al. 2022 (NIID-Bench, arXiv:2102.02079), noise-based feature imbalance; angles and
    offsets are ours.
    """

    noise: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0

    def __post_init__(self) -> None:
        for name, value, most in (("noise", self.noise, 10), ("rotation", self.rotation, 180)):
            require(0 <= value <= most, f"{name} must lie in [0, {most}], not {value}")
        require(0 <= self.brightness < 1, f"brightness must lie in [0, 1), not {self.brightness}")

    def of(self, parts: Sequence[TargetData], *, seed: int = 0) -> list[TargetData]:
        """Return the same parts, each seen through its own transformation.

        Args:
            parts: clients in their order, such as those of `ddcore.data.partitions`.
            seed: of angles, offsets and noise.

        Raises:
            InputDataError: they are no images.
        """
        found = []
        for place, part in enumerate(parts):
            if not isinstance(part.spec, ImageSpec):
                raise InputDataError(f"{part.name} holds {part.spec.modality}: features are skewed of images")
            inputs = self._seen(part.train.inputs, place, len(parts), seed)
            found.append(replace(part, train=Split(inputs, part.train.targets)))
        return found

    def _seen(self, inputs: Tensor, place: int, parts: int, seed: int) -> Tensor:
        random = generator(seed, "feature-skew", place)
        turn, shift = (2 * torch.rand(2, generator=random) - 1).tolist()
        images = as_unit_float(inputs)
        if self.rotation:
            angle = torch.tensor([math.radians(turn * self.rotation)])
            images = affine(images, rotation(angle))
        images = images + shift * self.brightness
        if self.noise:
            images = images + self.noise * (place + 1) / parts * torch.randn(images.shape, generator=random)
        seen: Tensor = images.clamp(0, 1)
        return seen.mul(255).round().to(torch.uint8) if inputs.dtype == torch.uint8 else seen.to(inputs.dtype)
