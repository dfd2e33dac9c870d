"""`Compressed`: what another factorization stores, on few levels and entropy-coded."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddcore.errors import BudgetError, SummaryFormatError, UnknownNameError, UnsupportedError
from ddcore.factorization.coded import code_of, decoded
from ddcore.factorization.rate import rate_of, smoothed
from ddcore.factorization.scale import Levels, Palette, Scale
from ddcore.parts import FACTORIZATIONS, Batch, Context, Examples, Factorization, Run, Spec
from ddcore.settings import override, require

EXPECTED_SHARE = 0.4
"""Bits per number that are expected before any data are seen, as a share of log2 of the levels.

Real digits and photographs at 4 to 16 levels take .2 to .7 of it. A cap of bytes holds in any case.
"""
LEAST_PASSES, MOST_PASSES = 1 / 16, 64.0
"""Of the filter that makes a code smaller."""
BISECTIONS = 5
PASSES_AFTER_STEP = (0.1,) * 8
"""Of the filter, at most, after an update that needs more bytes than are allowed."""
MAX_ROUNDS = 200
FADING = 0.95
"""By what numbers are multiplied where no filter saves enough."""


@dataclass(frozen=True)
class Compressed(Factorization):
    r"""Quantises and entropy-codes what another factorization stores, and trains through it.

    A stored number :math:`x` of a span :math:`[a, b]` becomes one of :math:`L` levels,
    :math:`q = \mathrm{round}((L - 1)(x - a)/(b - a))`. Examples are decoded from the quantised
    numbers also while they are trained; the gradient passes through the rounding as if it were not
    there (straight through; Bengio et al. 2013, arXiv:1308.3432). Levels are coded by adaptive
    arithmetic coding (`ddcore.ground.entropy_coder`), so that bytes are known exactly when they
    are written.

    With ``palette`` a pixel becomes the nearest of :math:`L` colours, one number whatever its
    channels. Colours are the centres of the clusters of all pixels at the start, and stored, a byte
    per channel. One palette serves all images; AutoPalette (Yuan et al. 2024, arXiv:2411.11329)
    has a network choose one for each.

    With ``nbytes`` no more than these are ever stored. Where an update would need more, a low-pass
    filter follows it. Until something is written the code's length is estimated as
    :math:`R = \sum_i \log_2(1 + |q_i - (q_{left} + q_{up})/2|)`. What is written is filtered as
    little as will do.

    Attributes:
        of: any factorization that stores floats. Its resolution is its own: `LowResolution`,
            `MultiFormation`, bases, frequencies. Its own storage does not matter.
        levels: per number, 2 to 256; with ``palette``, colours.
        nbytes: most bytes of the codes; None: as many as they take.
        palette: whether pixels in [0, 1] lie on colours. What else is stored lies on levels.
    """

    of: Factorization
    levels: int = 16
    nbytes: int | None = None
    palette: bool = False
    name: ClassVar[str] = "compressed"
    wraps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(isinstance(self.of, Factorization), f"of must be a factorization, not {type(self.of).__name__}")
        require(not isinstance(self.of, Compressed), "what is compressed cannot be compressed again: give its own `of`")
        require(type(self.levels) is int and 2 <= self.levels <= 256, f"levels must lie in 2..256, not {self.levels}")
        require(type(self.palette) is bool, f"palette must be True or False, not {self.palette!r}")
        require(self.nbytes is None or self.nbytes >= 1, f"nbytes must be at least 1, not {self.nbytes}")
        if getattr(self.of, "storage", "float32") != "float32":
            object.__setattr__(self, "of", override(self.of, "storage", "float32"))
        object.__setattr__(self, "items", self.of.items)
        object.__setattr__(self, "modality", self.of.modality)
        object.__setattr__(self, "labels", getattr(self.of, "labels", "hard"))

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return self.of.counts_for(available)

    def sized(self, ipc: Any) -> Compressed:
        return replace(self, of=self.of.sized(ipc))

    def as_kind(self, kind: type[Factorization]) -> Factorization | None:
        inner = self.of.as_kind(kind)
        return None if inner is None else replace(self, of=inner)

    def learning_rates(self) -> dict[str, float]:
        return self.of.learning_rates()

    def asks(self) -> frozenset[str]:
        return self.of.asks()

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        if self.nbytes is not None:
            return self.nbytes
        # Of a float of four bytes, no bit of a level costs more than nine bits; a head is added.
        bits = max(1, (self.levels - 1).bit_length())
        colours = self.levels * self._channels(spec) if self.palette else 0
        return math.ceil(self.of.max_bytes(spec, available) * max(1.0, bits * 9 / 32)) + 256 + colours

    def _channels(self, spec: Spec) -> int:
        """Return how many numbers one level stands for."""
        return int(spec.shape[0]) if self.palette else 1

    def within(self, nbytes: int, spec: Spec, available: Mapping[int, int]) -> Compressed:
        """Return a copy that stores at most ``nbytes``, and as many examples as should fit.

        No data are seen: `EXPECTED_SHARE` of the levels' bits are supposed for each number.
        `ddcore.fitted` measures it.
        """
        bits = max(1.0, math.log2(self.levels)) * EXPECTED_SHARE / self._channels(spec)
        raw = self.of.within(max(1, int(nbytes * 32 / bits)), spec, available)
        return replace(self, of=raw, nbytes=nbytes)

    def start(self, run: Run) -> Examples:
        made = CompressedExamples(self, self.of.start(run))
        if self.nbytes is not None:
            made.fit()
        return made

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> CompressedExamples:
        read = {name: decoded(name, code, self.levels, self._channels(spec)) for name, code in stored.items()}
        of = self.of.restore({name: tensor for name, (tensor, _) in read.items()}, spec)
        return CompressedExamples(self, of, {name: scale for name, (_, scale) in read.items()})

    def decoder(self) -> dict[str, Any]:
        return {"levels": self.levels, "palette": self.palette, "of": {"name": self.of.name, **self.of.decoder()}}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Compressed:
        if set(settings) != {"levels", "palette", "of"} or not isinstance(settings["of"], Mapping):
            raise SummaryFormatError(f"compressed records levels, palette and of, found {sorted(settings)[:5]}")
        inner = dict(settings["of"])
        kind = FACTORIZATIONS.get(str(inner.pop("name", None)))
        if kind is None or kind.wraps:
            allowed = [name for name, known in FACTORIZATIONS.items() if not known.wraps]
            raise UnknownNameError("factorization", str(settings["of"].get("name"))[:40], allowed)
        return cls(kind.from_decoder(inner), levels=settings["levels"], palette=settings["palette"])

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        raise UnsupportedError(f"what is compressed to {self.levels} levels has no {to}: choose levels instead")


class CompressedExamples(Examples):
    """Examples of another factorization, decoded from quantised numbers."""

    def __init__(self, settings: Compressed, of: Examples, scales: Mapping[str, Scale | None] | None = None) -> None:
        super().__init__()
        self._settings, self._of = settings, of
        self._read = dict(scales or {})
        """The scales on which stored tensors lay when they were read."""
        self.counts = of.counts
        self.draws_when_decoded = of.draws_when_decoded  # type: ignore[misc]
        self._unit = settings.of.unit_tensors()
        stored = {name: t for name, t in of.stored().items() if t.is_floating_point()}
        self._names: dict[str, str] = {}
        """Of each trained parameter that is stored: its name there."""
        grouped = {id(p) for group in of.groups().values() for p in group}
        for place, parameter in of.named_parameters():
            same = [name for name, t in stored.items() if _same(parameter, t)]
            if same and id(parameter) in grouped:
                self._names[place] = same[0]
        for name, tensor in stored.items():
            if settings.palette and name in self._unit and tensor.ndim == 4:
                known = self._read.get(name)
                palette = known if isinstance(known, Palette) else Palette.of(tensor, settings.levels)
                self.register_buffer(f"palette_{name}", palette.colours)
        self.register_buffer("allowed", torch.tensor(math.inf))

    def indices_of(self, class_id: int) -> Tensor:
        return self._of.indices_of(class_id)

    def draw(
        self, classes: Sequence[int], count: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return self._of.draw(classes, count, generator)

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        quantised = {f"of.{place}": self._quantised(place, p) for place, p in self._coded().items()}
        batch: Batch = functional_call(_Decoding(self._of), quantised, (indices, generator))
        return batch

    def begin(self, run: Context) -> None:
        self._of.begin(run)

    def penalty(self, run: Context) -> Tensor | None:
        return self._of.penalty(run)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return self._of.groups()

    def assign_labels(self, labels: Tensor) -> None:
        self._of.assign_labels(labels)

    def after_step(self, step: int) -> None:
        self._of.after_step(step)
        if self._settings.nbytes is not None:
            allowed = float(self.get_buffer("allowed"))
            for passes in PASSES_AFTER_STEP:
                if self._rate() <= allowed:
                    break
                self._smooth(self._values(), passes)

    def stored(self, storage: str | None = None) -> dict[str, Tensor]:
        if storage not in (None, "float32"):
            raise UnsupportedError(f"what is compressed has no {storage}: choose levels instead")
        codes = self._codes()
        if _bytes(codes) <= self._most:
            return codes
        written = copy.deepcopy(self)
        return written.fit()

    def fit(self) -> dict[str, Tensor]:
        """Filter until the codes take no more than the bytes that are allowed. Return them.

        Raises:
            BudgetError: also examples of one colour take more.
        """
        codes = self._codes()
        if _bytes(codes) > self._most:
            codes = self._filtered_least()
        for _ in range(MAX_ROUNDS):
            self.get_buffer("allowed").fill_(self._rate() * self._most / _bytes(codes))
            if _bytes(codes) <= self._most:
                return codes
            self._fade()
            codes = self._codes()
        raise BudgetError(
            f"{self._most} bytes do not hold {sum(self.counts.values())} examples, however few details they have: "
            "store fewer, or give more bytes"
        )

    def _filtered_least(self) -> dict[str, Tensor]:
        """Return the codes after the fewest passes with which they fit, or after `MOST_PASSES`."""
        before = {place: self._quantised(place, p).detach() for place, p in self._coded().items()}

        def codes(passes: float) -> dict[str, Tensor]:
            self._smooth(before, passes)
            return self._codes()

        fewest, most = 0.0, LEAST_PASSES
        while _bytes(codes(most)) > self._most and most < MOST_PASSES:
            fewest, most = most, 2 * most
        for _ in range(BISECTIONS):
            middle = (fewest + most) / 2
            fewest, most = (fewest, middle) if _bytes(codes(middle)) <= self._most else (middle, most)
        return codes(most)

    def _values(self) -> dict[str, Tensor]:
        return {place: parameter.detach().clone() for place, parameter in self._coded().items()}

    def _smooth(self, before: Mapping[str, Tensor], passes: float) -> None:
        """Filter planes of numbers: tensors with three axes or more."""
        with torch.no_grad():
            for place, parameter in self._coded().items():
                parameter.copy_(smoothed(before[place], passes) if parameter.ndim > 2 else before[place])

    @property
    def _most(self) -> float:
        return math.inf if self._settings.nbytes is None else self._settings.nbytes

    def _coded(self) -> dict[str, nn.Parameter]:
        held = dict(self._of.named_parameters())
        return {place: held[place] for place in self._names}

    def _scale(self, name: str, numbers: Tensor) -> Scale:
        """Return the scale of a stored tensor."""
        if (colours := self._buffers.get(f"palette_{name}")) is not None:
            return Palette(colours)
        return Levels(self._settings.levels) if name in self._unit else Levels.spanning(numbers, self._settings.levels)

    def _quantised(self, place: str, parameter: Tensor) -> Tensor:
        """Return a parameter on its scale; the gradient passes as if it were not there."""
        scale = self._scale(self._names[place], parameter)
        return parameter + (scale.numbers(scale.places(parameter)) - parameter).detach()

    def _rate(self) -> float:
        coded = self._coded().items()
        return float(sum(rate_of(self._scale(self._names[place], p).places(p)) for place, p in coded))

    def _fade(self) -> None:
        """Move every number towards the lowest of its scale. In the end all are equal."""
        with torch.no_grad():
            for place, parameter in self._coded().items():
                low = self._scale(self._names[place], parameter).lowest
                parameter.sub_(low).mul_(FADING).add_(low)

    def _codes(self) -> dict[str, Tensor]:
        held = self._of.stored().items()
        return {name: code_of(t, self._kept(name, t) if t.is_floating_point() else None) for name, t in held}

    def _kept(self, name: str, tensor: Tensor) -> Scale:
        """Return the scale on which a tensor was read, if it still holds it, else its own."""
        read = self._read.get(name)
        return read if isinstance(read, Levels) and read.holds(tensor) else self._scale(name, tensor)


def _bytes(codes: Mapping[str, Tensor]) -> int:
    return sum(len(code) for code in codes.values())


class _Decoding(nn.Module):
    """Decodes examples as a call, so that their parameters can be replaced in it."""

    def __init__(self, of: Examples) -> None:
        super().__init__()
        self.of = of

    def forward(self, indices: Tensor | None, generator: torch.Generator | None) -> Batch:
        return self.of.decode(indices, generator)


def _same(parameter: Tensor, stored: Tensor) -> bool:
    return parameter.shape == stored.shape and torch.equal(parameter.detach().cpu().to(stored.dtype), stored)
