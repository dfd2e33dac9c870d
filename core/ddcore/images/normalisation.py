"""From pixels in [0, 1] to what networks see, and back. It is recorded with every summary."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddcore.errors import InputDataError, SettingsError, UnknownNameError
from ddcore.ground.devices import constant, matmul_precision
from ddcore.ground.mapped import is_mapped, lots
from ddcore.parts import Identity, Normalisation, as_unit_float
from ddcore.settings import require, settings_from_text

_LARGEST = 1e6
IMAGES_AT_ONCE = 1000
ZCA_KINDS = ("zca", "zca-unit", "zca-standard", "zca-uncentred")


@dataclass(frozen=True)
class Standardise(Normalisation):
    r"""Per channel, :math:`(x - \mu) / \sigma`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: ClassVar[str] = "standard"

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise SettingsError("a standardisation needs one mean and one standard deviation per channel")
        if not all(abs(v) <= _LARGEST for v in self.mean) or not all(1 / _LARGEST <= v <= _LARGEST for v in self.std):
            raise SettingsError("means must be finite and standard deviations positive, none of them extreme")

    @classmethod
    def fit(cls, pixels: Tensor) -> Standardise:
        """Take mean and standard deviation of each channel over all training pixels.

        numpy computes them on one thread, so that the number of threads does not change the last
        digit.
        """
        if is_mapped(pixels):
            return cls(*_moments(pixels))
        mean, std = [], []
        for channel in range(pixels.shape[1]):
            values = as_unit_float(pixels[:, channel].reshape(-1), torch.float64).numpy()
            mean.append(float(values.mean()))
            std.append(max(float(values.std()), 1e-6))
        return cls(tuple(mean), tuple(std))

    def _forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self._per_channel(self.mean, pixels)) / self._per_channel(self.std, pixels)

    def _inverse(self, inputs: Tensor) -> Tensor:
        return inputs * self._per_channel(self.std, inputs) + self._per_channel(self.mean, inputs)

    @staticmethod
    def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor | float:
        if len(values) == 1:
            return values[0]
        return constant(values, like.dtype, like.device).view(1, -1, 1, 1)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "mean": list(self.mean), "std": list(self.std)}

    def same_as(self, other: Normalisation) -> bool:
        if not isinstance(other, Standardise) or len(other.mean) != len(self.mean):
            return False
        pairs = zip((*self.mean, *self.std), (*other.mean, *other.std), strict=True)
        return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairs)


@dataclass(frozen=True, eq=False)
class ZCA(Normalisation):
    r"""Whitening by the inverse root of the regularised pixel covariance.

    .. math:: W = U\,\mathrm{diag}((s + \epsilon)^{-1/2})\,U^\top, \quad
       \Sigma = U\,\mathrm{diag}(s)\,U^\top

    The literature has several. They differ in what comes before, in the covariance and in the
    regularisation:

    * ``zca``: the mean image is subtracted; :math:`\Sigma` over n - 1; :math:`\epsilon = 0.1`.
    * ``zca-unit``: each image has its own mean subtracted and is divided by its norm;
      :math:`\epsilon = 0.1\,\mathrm{tr}(\Sigma)/d`. An image's own mean and norm are gone then. So
      ``invert`` uses the training set's average of both: exact in shape, approximate in brightness
      and contrast.
    * ``zca-standard``: channels are standardised, then the mean image is subtracted;
      :math:`\Sigma` over n, :math:`\epsilon = 0.1\,\mathrm{tr}(\Sigma)/d`.
    * ``zca-uncentred``: the same without subtracting the mean image, in :math:`\Sigma` and in the
      map.

    Source: Cazenavette et al. 2022, Deng & Russakovsky 2022, Zhou et al. 2022, Loo et al. 2022, in
    this order, and their code.
    """

    centre: Tensor
    whiten: Tensor
    colour: Tensor
    kind: str
    scale: float

    @property
    def name(self) -> str:  # type: ignore[override]
        """The kind."""
        return self.kind

    @property
    def unit_norm(self) -> bool:
        """Whether each image is brought to mean 0 and length 1 first."""
        return self.kind == "zca-unit"

    @property
    def exact(self) -> bool:
        """False for ``zca-unit``, which forgets each input's own norm."""
        return not self.unit_norm

    @classmethod
    def fit(cls, pixels: Tensor, kind: str = "zca", regularisation: float = 0.1) -> ZCA:
        """Fit on training pixels ``n x channels x height x width``.

        It needs ``d x d`` memory, at ``d`` pixels per image.
        """
        if kind not in ZCA_KINDS:
            raise UnknownNameError("kind of ZCA", kind, ZCA_KINDS)
        n, d, scale = len(pixels), math.prod(pixels.shape[1:]), 1.0
        mean = sum((part.sum(dim=0) for part in _flat_parts(pixels)), torch.zeros(d, dtype=torch.float64)) / n
        centre, spread = mean, torch.ones(1, dtype=torch.float64)
        if kind == "zca-unit":
            centre = mean.mean().expand(d).clone()
            scale = float(sum(_centred(part).norm(dim=1).sum() for part in _flat_parts(pixels)) / n)
        elif kind != "zca":
            standard, area = Standardise.fit(pixels), math.prod(pixels.shape[2:])
            spread = torch.tensor(standard.std, dtype=torch.float64).repeat_interleave(area)
            if kind == "zca-uncentred":
                centre = torch.tensor(standard.mean, dtype=torch.float64).repeat_interleave(area)
        second = torch.zeros(d, d, dtype=torch.float64)
        for part in _flat_parts(pixels):
            prepared = _unit(_centred(part)) if kind == "zca-unit" else (part - centre) / spread
            second.addmm_(prepared.T, prepared)
        covariance = second / (max(n - 1, 1) if kind == "zca" else n)
        epsilon = regularisation if kind == "zca" else regularisation * float(covariance.trace()) / d
        values, vectors = torch.linalg.eigh(covariance)
        root = (values.clamp_min(0) + epsilon).sqrt()
        # The standardisation of channels, where there is one, is part of both maps.
        whiten, colour = (vectors / root) @ vectors.T / spread.view(-1, 1), (vectors * root) @ vectors.T * spread
        return cls(centre.float(), whiten.float(), colour.float(), kind, scale)

    def _forward(self, pixels: Tensor) -> Tensor:
        flat = pixels.flatten(1)
        flat = _unit(_centred(flat)) if self.unit_norm else flat - self._like("centre", flat)
        with matmul_precision("fp32", flat.device):  # small directions are made large: they must be exact
            return (flat @ self._like("whiten", flat)).view_as(pixels)

    def _inverse(self, inputs: Tensor) -> Tensor:
        with matmul_precision("fp32", inputs.device):
            flat = inputs.flatten(1) @ self._like("colour", inputs)
        return (flat * self.scale + self._like("centre", flat)).view_as(inputs)

    def _like(self, name: str, other: Tensor) -> Tensor:
        """Return one of the tensors on the device and in the type of ``other``.

        A copy is made once and kept.
        """
        copies: dict[tuple[str, torch.device, torch.dtype], Tensor] = self.__dict__.setdefault("_copies", {})
        key = (name, other.device, other.dtype)
        if key not in copies:
            copies[key] = self.tensors()[name].to(other)
        return copies[key]

    def tensors(self) -> dict[str, Tensor]:
        return {"centre": self.centre, "whiten": self.whiten, "colour": self.colour}

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in self.tensors().values())).hexdigest()
        return {"name": self.kind, "unit_norm": self.unit_norm, "scale": self.scale, "sha256": digest}

    def same_as(self, other: Normalisation) -> bool:
        if not isinstance(other, ZCA) or other.unit_norm != self.unit_norm or other.whiten.shape != self.whiten.shape:
            return False
        pairs = zip(self.tensors().values(), other.tensors().values(), strict=True)
        return all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs)


def _moments(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of bytes, by counting them."""
    counts = torch.zeros(pixels.shape[1], 256, dtype=torch.int64)
    for part in lots(pixels):
        counts += torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in part.unbind(dim=1)])
    n, values = int(counts[0].sum()), torch.arange(256)
    pairs = list(zip((counts @ values).tolist(), (counts @ values**2).tolist(), strict=True))
    mean = tuple(s / (255 * n) for s, _ in pairs)
    return mean, tuple(max(math.sqrt(n * q - s * s) / (255 * n), 1e-6) for s, q in pairs)


def _flat_parts(pixels: Tensor) -> Iterator[Tensor]:
    """Yield some images at a time as rows of float64, so that no copy of all of them is made."""
    for part in lots(pixels, IMAGES_AT_ONCE):
        yield as_unit_float(part.flatten(1), torch.float64)


def _centred(flat: Tensor) -> Tensor:
    return flat - flat.mean(dim=1, keepdim=True)


def _unit(flat: Tensor) -> Tensor:
    lengths: Tensor = flat.norm(dim=1, keepdim=True).clamp_min(1e-8)
    return flat / lengths


def fit_normalisation(name: str, pixels: Tensor) -> Normalisation:
    """Fit a normalisation by name on training pixels.

    Args:
        name: ``none``, ``standard``, or a ZCA: ``zca``, ``zca-unit``, ``zca-standard``,
            ``zca-uncentred``. A ZCA's regularisation may stand in brackets:
            ``zca-unit(regularisation=100)``.
        pixels: bytes or floats in [0, 1], ``n x channels x height x width``.
    """
    if name == "none":
        return Identity()
    if name == "standard":
        return Standardise.fit(pixels)
    named = {kind: _ZCASettings(kind) for kind in ZCA_KINDS}
    if name.partition("(")[0].strip() not in named:
        raise UnknownNameError("normalisation", name, ("none", "standard", *named))
    settings = settings_from_text(name, named, "normalisation")
    return ZCA.fit(pixels, settings.kind, settings.regularisation)


@dataclass(frozen=True)
class _ZCASettings:
    kind: str
    regularisation: float = 0.1

    def __post_init__(self) -> None:
        require(0 < self.regularisation < float("inf"), f"a regularisation must be above 0, not {self.regularisation}")


def restore_normalisation(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], shape: tuple[int, ...]
) -> Normalisation:
    """Rebuild what `Normalisation.describe` and `Normalisation.tensors` recorded.

    It is checked against ``shape``.
    """
    name = config.get("name")
    known = {Identity.name: 1, Standardise.name: 3, **dict.fromkeys(ZCA_KINDS, 4)}
    if name in known and len(config) != known[name]:
        raise InputDataError(f"the normalisation {name!r} has unknown or missing entries")
    if name == Identity.name:
        return Identity()
    if len(shape) != 3:
        raise InputDataError(f"the normalisation {name!r} is for images, not for examples of shape {shape}")
    if name == Standardise.name:
        restored = Standardise(tuple(map(float, config["mean"])), tuple(map(float, config["std"])))
        if len(restored.mean) not in (1, shape[0]):
            raise InputDataError(f"the normalisation has {len(restored.mean)} channels, the examples {shape[0]}")
        return restored
    if name in ZCA_KINDS:
        side = math.prod(shape)
        expected = {"centre": (side,), "whiten": (side, side), "colour": (side, side)}
        found = {k: tuple(v.shape) for k, v in tensors.items() if v.dtype == torch.float32}
        if found != expected or len(tensors) != len(expected):
            raise InputDataError(f"the whitening's tensors must be {expected} of float32")
        zca = ZCA(
            **{k: tensors[k] for k in expected},
            # Summaries were once written with one name for two kinds.
            kind="zca-unit" if config["unit_norm"] else str(name),
            scale=float(config["scale"]),
        )
        if zca.describe()["sha256"] != config.get("sha256"):
            raise InputDataError("the whitening's tensors do not have the recorded hash")
        return zca
    raise UnknownNameError("normalisation", name, known)
