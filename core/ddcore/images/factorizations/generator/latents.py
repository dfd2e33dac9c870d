"""`GeneratorLatents`: a generator that all classes share, and one latent per example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddcore.coresets import as_rule
from ddcore.errors import SummaryFormatError
from ddcore.factorization.shared_decoder import Decoding, SharedDecoder
from ddcore.images.factorizations.generator.sources import (
    MAX_WIDTH,
    GeneratorSource,
    GivenGenerator,
    SmallGenerator,
    TrainedGenerator,
    invert,
)
from ddcore.images.spec import image_shape
from ddcore.parts import CoresetRule, Factorization, Ipc, Run, Spec
from ddcore.settings import require

_WEIGHT = "generator."
INVERTED_AT_ONCE = 256


@dataclass(frozen=True)
class GeneratorLatents(SharedDecoder):
    """Examples are ``G(z)``, or ``G(z, c)`` for a generator that is told the class.

    Latents ``z`` are optimised. So are the generator's weights where it is `learned`. Both are
    stored and counted.

    Attributes:
        ipc: latents per class: one number, one per class id, or ``clip:N``.
        generator: `TrainedGenerator` (on the target data), `FreshGenerator` (random weights, to be
            learned) or `GivenGenerator`. A budget of bytes chooses the width of the first two where
            it is 32.
        learned: whether the generator's weights are optimised with the latents (group
            ``generator``).
        init: ``noise`` (standard normal latents), or a coreset rule. Latents then begin where the
            generator's images are closest to the chosen real ones. Optimisation finds them
            (inversion).
        inversion_steps: updates of the inversion.
        storage: ``float32``, ``fp16`` or ``uint8``, of latents and generator.

    Source: Zhao & Bilen 2022 (arXiv:2204.07513); with a learned generator Such et al. 2020
    (arXiv:1912.07768).
    """

    ipc: Ipc = field(default=10, hash=False)
    generator: GeneratorSource = field(default_factory=TrainedGenerator)
    learned: bool = False
    init: str | CoresetRule = "random"
    inversion_steps: int = 300
    storage: str = "float32"
    name: ClassVar[str] = "generator_latents"
    modality: ClassVar[str | None] = "images"
    items: ClassVar[str] = "latents"
    shared: ClassVar[str] = "generator"
    sizes: ClassVar[tuple[str, ...]] = ()
    grows: ClassVar[str] = "generator"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.inversion_steps >= 0, "inversion_steps must not be negative")

    def asks(self) -> frozenset[str]:
        return super().asks() | self.generator.asks()

    def trained(self, spec: Spec) -> set[str]:
        weights = self.generator.empty(spec).named_parameters() if self.learned else ()
        return {_WEIGHT + name for name, _ in weights}

    def item_shape(self, spec: Spec) -> tuple[int, ...]:
        image_shape(spec)
        return self.generator.latent_shape

    def shared_like(self, spec: Spec) -> dict[str, Tensor]:
        state = self.generator.empty(spec).state_dict()
        return {_WEIGHT + name: tensor.to("meta") for name, tensor in state.items()}

    def hidden(self, spec: Spec) -> int:
        return self.generator.hidden(spec)

    def growing(self) -> str | None:
        chosen = isinstance(self.generator, SmallGenerator) and self.generator.width == SmallGenerator.width
        return "generator.width" if chosen else None

    def most(self, spec: Spec) -> int:
        return MAX_WIDTH

    def learning_rates(self) -> dict[str, float]:
        return {"latents": 0.05, **({"generator": 5e-3} if self.learned else {})}

    def initial(self, run: Run, counts: Mapping[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        random, shape = run.generator("init"), self.generator.latent_shape
        generator = self.generator.start(run).eval().requires_grad_(False)
        if self.init == "noise":
            latents = torch.randn(sum(counts.values()), *shape, generator=random, dtype=run.dtype)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            latents = torch.cat([self._inverted(run, generator, chosen[c].inputs, c) for c in counts])
        return latents, {_WEIGHT + name: tensor.detach().cpu() for name, tensor in generator.state_dict().items()}

    def _inverted(self, run: Run, generator: nn.Module, images: Tensor, class_id: int) -> Tensor:
        """Return the latents of a class's normalised images, found some at a time.

        Each is an optimisation of its own.
        """
        parts = []
        for part in images.to(run.device, run.dtype).split(INVERTED_AT_ONCE):
            pixels = run.spec.normalisation.invert(part).clamp(0, 1)
            owners = torch.full((len(part),), class_id, device=run.device)
            make = partial(self.generator.images, generator, owners=owners)
            parts.append(invert(make, pixels, self.generator.latent_shape, self.inversion_steps).cpu())
        return torch.cat(parts)

    def decoding(self, spec: Spec) -> Decoding:
        source, module = self.generator, self.generator.empty(spec).eval()

        def decode(items: Tensor, owners: Tensor, which: Tensor, shared: Mapping[str, Tensor]) -> Tensor:
            if isinstance(source, GivenGenerator):
                module.to(items.device, items.dtype)  # of its buffers, some may be in no state dict
            weights = {name.removeprefix(_WEIGHT): tensor for name, tensor in shared.items()}
            pixels = source.images(lambda *inputs: functional_call(module, weights, inputs), items, owners)
            return spec.normalisation.apply(pixels, items.dtype)

        return decode

    def decoder(self) -> dict[str, Any]:
        return {**self.generator.structure(), "storage": self.storage}

    def loader(self) -> type[Factorization]:
        given = self.generator
        return self.decoding_with(given.module, given.shape) if isinstance(given, GivenGenerator) else type(self)

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> GeneratorLatents:
        if "given" in settings:
            raise SummaryFormatError(
                "the generator is not of a known kind: pass factorizations={'generator_latents': "
                "GeneratorLatents.decoding_with(module, latent_shape)}"
            )
        structure = {name: value for name, value in settings.items() if name != "storage"}
        return cls(generator=SmallGenerator.restored(structure), storage=settings["storage"])

    @staticmethod
    def decoding_with(module: nn.Module, latent_shape: tuple[int, ...]) -> type[GeneratorLatents]:
        """Return the class that loads summaries whose generator has the structure of ``module``.

        Weights come from the file.
        """

        class OwnGeneratorLatents(GeneratorLatents):
            @classmethod
            def from_decoder(cls, settings: Mapping[str, Any]) -> GeneratorLatents:
                return GeneratorLatents(generator=GivenGenerator(module, latent_shape), storage=settings["storage"])

        return OwnGeneratorLatents
