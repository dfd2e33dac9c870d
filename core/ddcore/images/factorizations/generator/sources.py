"""Where the generator comes from: trained on the target data, or given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import InputDataError, SettingsError, SummaryFormatError, UnsupportedError
from ddcore.ground.devices import to_device
from ddcore.ground.randomness import default_generator_seeded
from ddcore.images.factorizations.generator.decoder import Generator
from ddcore.parts import Run, Spec, weights_sha256
from ddcore.settings import require, require_counts

MAX_WIDTH = 1024


class GeneratorSource(ABC):
    """Settings of a generator."""

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""

    def asks(self) -> frozenset[str]:
        """Return the questions that it asks of the real signal: none, or ``batch``."""
        return frozenset()

    @abstractmethod
    def start(self, run: Run) -> nn.Module:
        """Return the generator with its first weights."""

    @abstractmethod
    def empty(self, spec: Spec) -> nn.Module:
        """Return a generator of the same structure, whose weights are given at each call."""

    def images(self, generator: Callable[..., Tensor], latents: Tensor, owners: Tensor) -> Tensor:
        """Return pixels in [0, 1] of latents ``n x latent_shape`` of the classes ``owners``."""
        return generator(latents)

    def hidden(self, spec: Spec) -> int:
        """Return how many numbers its widest layer has for one example, where that is known."""
        return 0

    @abstractmethod
    def structure(self) -> dict[str, Any]:
        """Return what a summary records of it, as JSON data."""


@dataclass(frozen=True)
class SmallGenerator(GeneratorSource):
    """What small convolutional generators share; as it is, one whose weights come from a summary.

    Attributes:
        latent: length of a latent vector.
        width: channels.
        conditional: whether the generator is told the class.
    """

    latent: int = 32
    width: int = 32
    conditional: bool = False

    def __post_init__(self) -> None:
        fits = 0 < self.latent <= 4096 and 0 < self.width <= MAX_WIDTH
        require(fits, f"latent lies in 1..4096, width in 1..{MAX_WIDTH}")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.latent,)

    def _build(self, spec: Spec) -> Generator:
        return Generator(spec.shape, self.latent, self.width, spec.num_classes if self.conditional else 0)

    def start(self, run: Run) -> nn.Module:
        with default_generator_seeded(run.derive_seed("generator")):
            return self._build(run.spec).to(run.device, run.dtype)

    def empty(self, spec: Spec) -> nn.Module:
        """Return it on torch's ``meta`` device.

        Whatever size a stranger declares, it takes no memory.
        """
        with torch.device("meta"):
            return self._build(spec)

    def images(self, generator: Callable[..., Tensor], latents: Tensor, owners: Tensor) -> Tensor:
        return generator(latents, owners) if self.conditional else generator(latents)

    def hidden(self, spec: Spec) -> int:
        return self.width * spec.shape[1] * spec.shape[2]

    def structure(self) -> dict[str, Any]:
        told = {"conditional": True} if self.conditional else {}
        return {"latent": self.latent, "width": self.width, **told}

    @staticmethod
    def restored(structure: Mapping[str, Any]) -> SmallGenerator:
        """Return the source whose `structure` a summary recorded."""
        sizes = [structure.get("latent"), structure.get("width")]
        known = {"latent", "width"} <= set(structure) <= {"latent", "width", "conditional"}
        if not known or not all(type(s) is int for s in sizes) or type(structure.get("conditional", True)) is not bool:
            raise SummaryFormatError(f"a generator records latent and width, found {sorted(structure)[:5]}")
        return SmallGenerator(**structure)


@dataclass(frozen=True)
class FreshGenerator(SmallGenerator):
    """A small convolutional generator with random weights.

    It is for latents whose generator is learned with them.
    """


@dataclass(frozen=True)
class TrainedGenerator(SmallGenerator):
    r"""A small convolutional generator, trained on the target data.

    It is the decoder of a variational autoencoder.

    .. math:: \mathbb{E}\Big[\tfrac{1}{2 \sigma^2} \|x - G(z)\|^2\Big]
       + \mathrm{KL}\big(q(z | x) \,\|\, N(0, I)\big)

    Attributes:
        latent, width, conditional: see `SmallGenerator`.
        steps: updates of Adam.
        batch: real examples per update.
        learning_rate: of Adam.
        variance: :math:`\sigma^2` of a pixel.

    Source: Kingma & Welling 2014 (arXiv:1312.6114).
    """

    steps: int = 2000
    batch: int = 128
    learning_rate: float = 2e-3
    variance: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.steps > 0 and self.batch > 0, "steps and batch must be above 0")
        require(self.learning_rate > 0 and self.variance > 0, "learning_rate and variance must be positive")

    def asks(self) -> frozenset[str]:
        return frozenset({"batch"})

    def start(self, run: Run) -> nn.Module:
        spec = run.spec
        generator = super().start(run)
        with default_generator_seeded(run.derive_seed("encoder")):
            encoder = _encoder(spec.shape, self.latent, self.width).to(run.device, run.dtype)
        weights = [*generator.parameters(), *encoder.parameters()]
        optimiser = torch.optim.Adam(weights, lr=self.learning_rate)
        each = -(-self.batch // len(spec.classes))
        for step in range(self.steps):
            real = run.real.batch(spec.classes, each, f"generator/{step}")
            pixels = spec.normalisation.invert(real.inputs).clamp(0, 1)
            with run.autocast():
                mean, log_variance = encoder(real.inputs).chunk(2, dim=1)
                noise = torch.randn(mean.shape, generator=run.generator("generator", step), dtype=run.dtype)
                latents = mean + (0.5 * log_variance).exp() * to_device(noise, run.device)
                decoded = self.images(generator, latents, real.targets)
            error = 0.5 / self.variance * (decoded - pixels).square().sum()
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
            optimiser.zero_grad(set_to_none=True)
            ((error + divergence) / len(pixels)).backward()
            optimiser.step()
        return generator


@dataclass(frozen=True)
class GivenGenerator(GeneratorSource):
    """A generator of the caller's: it is copied, frozen, and stored with the summary.

    Attributes:
        module: maps latents ``n x shape`` to pixels in [0, 1], differentiably.
        shape: of one latent.
    """

    module: nn.Module
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise SettingsError(f"a generator is an nn.Module, not {type(self.module).__name__}")
        sides = self.shape if isinstance(self.shape, tuple | list) else (self.shape,)
        require_counts(**{f"side {i} of a latent": side for i, side in enumerate(sides)})
        object.__setattr__(self, "shape", tuple(sides))

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    def empty(self, spec: Spec) -> nn.Module:
        return deepcopy(self.module).to("cpu", torch.float32)

    def structure(self) -> dict[str, Any]:
        return {"given": True}

    def start(self, run: Run) -> nn.Module:
        generator = deepcopy(self.module).to(run.device, run.dtype).eval()
        latents = torch.zeros(2, *self.shape, dtype=run.dtype, device=run.device, requires_grad=True)
        try:
            pixels = generator(latents)
        except (RuntimeError, TypeError) as error:
            raise SettingsError(f"the generator cannot take latents of shape {self.shape}: {error}") from error
        if tuple(pixels.shape) != (2, *run.spec.shape):
            raise InputDataError(f"the generator makes images of shape {tuple(pixels.shape[1:])}, not {run.spec.shape}")
        low, high = float(pixels.detach().min()), float(pixels.detach().max())
        if not (low >= 0 and high <= 1):
            raise InputDataError(f"a generator makes pixels in [0, 1]; these reach from {low:.3g} to {high:.3g}")
        if not pixels.requires_grad:
            raise UnsupportedError("the generator's images do not depend on its latents differentiably")
        return generator

    def describe(self) -> dict[str, Any]:
        """Record the class and a hash of the weights."""
        digest = weights_sha256(self.module)
        return {"type": "GivenGenerator", "module": type(self.module).__name__, "weights_sha256": digest}


def invert(generator: Callable[[Tensor], Tensor], pixels: Tensor, latent_shape: tuple[int, ...], steps: int) -> Tensor:
    r"""Return latents whose images are close to ``pixels``.

    They take ``steps`` updates of Adam on :math:`\|G(z) - x\|^2`, from zero.
    """
    latents = torch.zeros(len(pixels), *latent_shape, dtype=pixels.dtype, device=pixels.device, requires_grad=True)
    optimiser = torch.optim.Adam([latents], lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        F.mse_loss(generator(latents), pixels, reduction="sum").backward()
        optimiser.step()
    return latents.detach()


def _encoder(shape: tuple[int, ...], latent: int, width: int) -> nn.Module:
    rows, columns = -(-shape[1] // 4), -(-shape[2] // 4)
    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(width * rows * columns, 2 * latent),
    )
