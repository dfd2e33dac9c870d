"""`GeneratorLatents`: a frozen generator, and one latent per example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from ddcore.batch import Batch
from ddcore.coresets import CoresetRule, as_rule
from ddcore.engine.devices import to_device
from ddcore.errors import SummaryFormatError, UnknownNameError, UnsupportedError
from ddcore.factorization.base import Examples, Factorization
from ddcore.factorization.budget import Ipc, check_ipc, counts_within
from ddcore.factorization.generator.decoder import frozen
from ddcore.factorization.generator.sources import GeneratorSource, GivenGenerator, TrainedGenerator, invert
from ddcore.factorization.owned import OwnedExamples, owners_of, stored_items
from ddcore.settings import require

if TYPE_CHECKING:
    from ddcore.data import Spec
    from ddcore.run import Run

_FLOATS = {"float32": torch.float32, "fp16": torch.float16}
_WEIGHT = "generator."
INVERTED_AT_ONCE = 256
DECODED_AT_ONCE = 64
MAX_HIDDEN = 2**30
"""Numbers in the widest hidden layer for all latents of a loaded summary."""


@dataclass(frozen=True)
class GeneratorLatents(Factorization):
    """Examples are ``G(z)``; latents ``z`` are optimised, the generator ``G`` is frozen. Its weights are stored and counted.

    Latents start where the generator's images are closest to real ones, found by optimisation (inversion).

    Attributes:
        ipc: latents per class: one number, one per class id, or ``clip:N``.
        generator: `TrainedGenerator` (on the target data) or `GivenGenerator`.
        init: ``noise`` (standard normal latents), or a coreset rule that picks the real images to invert.
        inversion_steps: updates of the inversion.
        storage: ``float32`` or ``fp16``, of latents and generator.

    Source: Zhao & Bilen 2022 (arXiv:2204.07513).
    """

    ipc: Ipc = field(default=10, hash=False)
    generator: GeneratorSource = field(default_factory=TrainedGenerator)
    init: str | CoresetRule = "random"
    inversion_steps: int = 300
    storage: str = "float32"
    name: ClassVar[str] = "generator_latents"

    def __post_init__(self) -> None:
        if self.storage not in _FLOATS:
            raise UnknownNameError("storage", self.storage, _FLOATS)
        check_ipc(self.ipc)
        require(self.inversion_steps >= 0, "inversion_steps must not be negative")
        if self.init != "noise":
            as_rule(self.init)

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

    def asks(self) -> frozenset[str]:
        return super().asks() | self.generator.asks()

    def start(self, run: Run) -> Examples:
        counts = self.counts_for(run.real.counts)
        random, shape = run.generator("init"), self.generator.latent_shape
        generator = frozen(self.generator.start(run))
        if self.init == "noise":
            latents = torch.randn(sum(counts.values()), *shape, generator=random, dtype=run.dtype)
        else:
            chosen = run.real.select(as_rule(self.init), counts, random)
            latents = torch.cat([self._inverted(run, generator, chosen[c]) for c in counts])
        return LatentExamples(latents, owners_of(counts), generator.cpu(), run.spec, self.storage)

    def _inverted(self, run: Run, generator: nn.Module, images: Tensor) -> Tensor:
        """Return the latents of normalised images, found some at a time; each is an optimisation of its own."""
        parts = []
        for part in images.to(run.device, run.dtype).split(INVERTED_AT_ONCE):
            pixels = run.spec.normalisation.invert(part).clamp(0, 1)
            parts.append(invert(generator, pixels, self.generator.latent_shape, self.inversion_steps).cpu())
        return torch.cat(parts)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> LatentExamples:
        if len(spec.shape) != 3:
            raise SummaryFormatError(f"a generator makes images; {spec.shape} is not the shape of one")
        module = self.generator.empty(spec.shape)
        expected = {_WEIGHT + name: tensor for name, tensor in module.state_dict().items()}
        if set(stored) != {"latents", "classes", *expected}:
            odd = sorted(set(stored) ^ {"latents", "classes", *expected})
            raise SummaryFormatError(f"generator latents store latents, classes and the generator; amiss: {odd[:5]}")
        dtype = _FLOATS[self.storage]
        latents, owners, _ = stored_items(stored, "latents", self.generator.latent_shape, dtype, spec.num_classes)
        if isinstance(self.generator, TrainedGenerator):
            work = len(latents) * self.generator.width * spec.shape[1] * spec.shape[2]
            if work > MAX_HIDDEN:
                raise SummaryFormatError(
                    f"{len(latents)} latents of such a generator need {work} hidden numbers: too many"
                )
        for name, tensor in expected.items():
            wanted = dtype if tensor.is_floating_point() else tensor.dtype
            if stored[name].shape != tensor.shape or stored[name].dtype != wanted:
                raise SummaryFormatError(f"{name} must be {tuple(tensor.shape)} of {wanted}")
        weights = {name: t.float() if t.is_floating_point() else t for name, t in stored.items() if name in expected}
        module.load_state_dict({name.removeprefix(_WEIGHT): t for name, t in weights.items()}, assign=True)
        return LatentExamples(latents.float(), owners, frozen(module), spec, self.storage)

    def decoder(self) -> dict[str, Any]:
        source = self.generator
        kind = (
            {"latent": source.latent, "width": source.width}
            if isinstance(source, TrainedGenerator)
            else {"given": True}
        )
        return {**kind, "storage": self.storage}

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
        sizes = [settings.get("latent"), settings.get("width")]
        if set(settings) != {"latent", "width", "storage"} or not all(type(s) is int for s in sizes):
            raise SummaryFormatError(
                f"generator latents record latent, width and storage, found {sorted(settings)[:5]}"
            )
        source = TrainedGenerator(latent=settings["latent"], width=settings["width"])
        return cls(generator=source, storage=settings["storage"])

    @staticmethod
    def decoding_with(module: nn.Module, latent_shape: tuple[int, ...]) -> type[GeneratorLatents]:
        """Return the class that loads summaries whose generator has the structure of ``module``; weights come from the file."""

        class OwnGeneratorLatents(GeneratorLatents):
            @classmethod
            def from_decoder(cls, settings: Mapping[str, Any]) -> GeneratorLatents:
                return GeneratorLatents(generator=GivenGenerator(module, latent_shape), storage=settings["storage"])

        return OwnGeneratorLatents

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        if to not in _FLOATS:
            raise UnsupportedError(f"latents are no pixels and are not stored as {to!r}: use 'fp16'")
        return replace(self, storage=to), self.restore(stored, spec).stored(to)


class LatentExamples(OwnedExamples):
    """Latents sorted by class, and the generator that decodes them."""

    def __init__(self, latents: Tensor, owners: Tensor, generator: nn.Module, spec: Spec, storage: str) -> None:
        super().__init__(owners, spec.num_classes)
        self.latents = nn.Parameter(latents.clone())
        self.generator = generator
        self._spec, self._storage = spec, storage

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        latents: Tensor = self.latents
        owners = self.get_buffer("owners")
        if indices is not None:
            where = to_device(indices, latents.device)
            latents, owners = latents[where], owners[where]
        # Without a graph the hidden layers of some latents at a time are all that needs memory.
        at_once = max(1, len(latents)) if torch.is_grad_enabled() else DECODED_AT_ONCE
        pixels = torch.cat([self.generator(part) for part in latents.split(at_once)])
        return Batch(self._spec.normalisation.apply(pixels, latents.dtype), owners)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"latents": [self.latents]}

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        dtype = _FLOATS[storage or self._storage]
        weights = {_WEIGHT + name: tensor for name, tensor in self.generator.state_dict().items()}
        kept = {"latents": self.latents.detach(), **weights}
        packed = {name: t.cpu().to(dtype) if t.is_floating_point() else t.cpu() for name, t in kept.items()}
        packed["classes"] = self.packed_owners()
        return {name: tensor.contiguous().clone() for name, tensor in packed.items()}
