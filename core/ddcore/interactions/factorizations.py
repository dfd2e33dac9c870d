"""What is stored of synthetic users."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.coresets import as_rule
from ddcore.errors import SummaryFormatError, UnknownNameError
from ddcore.factorization import AsStored, StoredExamples
from ddcore.factorization.owned import OwnedExamples
from ddcore.ground.devices import to_device
from ddcore.interactions.spec import InteractionSpec
from ddcore.interactions.weights import WEIGHT_BYTES, packed_rows, unpacked_rows
from ddcore.parts import (
    NOISE,
    Batch,
    Context,
    CoresetRule,
    Examples,
    Factorization,
    Ipc,
    Run,
    SparseRows,
    Spec,
    as_dense,
    check_ipc,
    counts_within,
)
from ddcore.settings import require, require_counts

FORMS = ("rows", "logits")


@dataclass(frozen=True)
class UserRows(AsStored):
    """Users' rows as free parameters, ``ipc`` of them. `AsStored` explains the settings.

    What networks learn to predict of a row is the row itself, so no label is stored.
    """

    name: ClassVar[str] = "user_rows"
    modality: ClassVar[str | None] = "interactions"
    items: ClassVar[str] = "users"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.labels == "hard", "the labels of users are their own rows: labels='hard'")

    def chosen_values(self, inputs: Tensor, spec: Spec) -> Tensor:
        return as_dense(inputs)

    def stores_labels(self, spec: Spec) -> bool:
        return False

    def examples(self, inputs: Tensor, owners: Tensor, labels: Tensor | None, spec: Spec) -> StoredExamples:
        return _OwnTargets(self, inputs, owners, None, spec)


class _OwnTargets(StoredExamples):
    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        inputs = super().decode(indices, generator).inputs
        return Batch(inputs, inputs)


@dataclass(frozen=True)
class _SparseUsers(Factorization):
    """Users whose rows are stored as the numbers of their items, each with a weight in one byte.

    Attributes:
        ipc: number of users.
        init: a coreset rule that chooses the real users they start from.
    """

    ipc: Ipc = field(default=100, hash=False)
    init: str | CoresetRule = "random"
    modality: ClassVar[str | None] = "interactions"
    items: ClassVar[str] = "users"

    def __post_init__(self) -> None:
        check_ipc(self.ipc)
        require(self.init not in NOISE, "users start from real ones: init= is a coreset rule")
        as_rule(self.init)

    @abstractmethod
    def most_items(self, spec: InteractionSpec) -> int:
        """Return the most items that one user stores."""

    def counts_for(self, available: Mapping[int, int]) -> dict[int, int]:
        return counts_within(self.ipc, available)

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        assert isinstance(spec, InteractionSpec)
        each = torch.int32.itemsize + self.most_items(spec) * (spec.id_type.itemsize + WEIGHT_BYTES)
        return sum(self.counts_for(available).values()) * each

    def chosen(self, run: Run) -> SparseRows:
        """Return the real users that the rule chooses."""
        counts = self.counts_for(run.real.counts)
        chosen = run.real.select(as_rule(self.init), counts, run.generator("init"))
        return cast(SparseRows, torch.cat([chosen[c].inputs for c in counts]))

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> Examples:
        assert isinstance(spec, InteractionSpec)
        return SparseExamples(unpacked_rows(stored, spec), spec)

    def decoder(self) -> dict[str, Any]:
        return {}

    def quantize(self, stored: Mapping[str, Tensor], spec: Spec, to: str) -> tuple[Factorization, dict[str, Tensor]]:
        raise UnknownNameError("storage of sparse users", to, ("uint8",))


@dataclass(frozen=True)
class ChosenUsers(_SparseUsers):
    """Real users as they are. Nothing of them is learned."""

    name: ClassVar[str] = "chosen_users"

    def most_items(self, spec: InteractionSpec) -> int:
        return spec.num_classes

    def start(self, run: Run) -> Examples:
        assert isinstance(run.spec, InteractionSpec)
        return SparseExamples(self.chosen(run), run.spec)

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        if settings:
            raise SummaryFormatError(f"{cls.name} records nothing, found {sorted(settings)[:5]}")
        return cls()


class SparseExamples(OwnedExamples):
    """Users' rows that are not learned."""

    def __init__(self, rows: SparseRows, spec: InteractionSpec) -> None:
        super().__init__(torch.zeros(len(rows), dtype=torch.int64), 1)
        self._spec = spec
        self.register_buffer("starts", rows.starts)
        self.register_buffer("columns", rows.columns)
        self.register_buffer("weights", rows.values)

    def rows(self) -> SparseRows:
        """Return the rows of all users."""
        starts, columns, weights = (self.get_buffer(name) for name in ("starts", "columns", "weights"))
        return SparseRows(starts, columns, weights, self._spec.num_classes)

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        rows = self.rows()
        inputs = (rows if indices is None else rows[to_device(indices, rows.device)]).as_inputs()
        return Batch(inputs, inputs)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {}

    def stored(self) -> dict[str, Tensor]:
        return packed_rows(self.rows(), self._spec)


@dataclass(frozen=True)
class SampledInteractions(_SparseUsers):
    r"""Users whose items are sampled from learned logits :math:`\ell` of all items.

    .. math:: x = \mathrm{hardtanh} \Big( \sum_{s=1}^{S}
       \mathrm{softmax}\big((\ell + G_s) / \tau\big) \Big)

    Each :math:`G_s` is Gumbel noise, drawn anew at every step. Of a row only the ``keep`` largest
    weights stay. The others are zero forwards, and get their gradient as if they were not
    (straight through). What is stored, and any other row without a generator, is steadier: there 16
    draws or more are drawn, from ``noise_seed``.

    Attributes:
        ipc: number of users.
        init: a coreset rule. The logits start as ``scale`` times the rows of the users that it
            chooses.
        draws: :math:`S`.
        gumbels: number of draws that stand for all: their sum counts ``draws / gumbels`` times.
            None: all are drawn.
        temperature: :math:`\tau`.
        keep: most items of a user. None: all.
        scale: of the first logits.
        cardinality: weight of a penalty, the mean sum of a row over the mean number of items of
            a real user.
        stored_as: what a summary stores: ``rows``, the items that are kept with their weights in
            one byte; or ``logits``, in single precision, of which rows can be sampled anew.

    Source: Distill-CF, Sachdeva et al. 2022 (arXiv:2206.02626); survey, section 3. ``gumbels``,
    ``keep`` and ``scale`` are ours.
    """

    draws: int = 200
    gumbels: int | None = None
    temperature: float = 10.0
    keep: int | None = None
    scale: float = 1.0
    cardinality: float = 1e-3
    stored_as: str = "rows"
    noise_seed: int = 0
    name: ClassVar[str] = "sampled_interactions"
    items: ClassVar[str] = "logits"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stored_as not in FORMS:
            raise UnknownNameError("form", self.stored_as, FORMS)
        counts = {"draws": self.draws, "gumbels": self.gumbels, "keep": self.keep}
        require_counts(**{name: count for name, count in counts.items() if count is not None})
        require(self.temperature > 0 and self.scale > 0, "temperature and scale must be positive")
        require(self.cardinality >= 0, "cardinality must not be negative")

    def learning_rates(self) -> dict[str, float]:
        return {"logits": 0.5}

    def most_items(self, spec: InteractionSpec) -> int:
        return min(self.keep or spec.num_classes, spec.num_classes)

    def max_bytes(self, spec: Spec, available: Mapping[int, int]) -> int:
        if self.stored_as == "logits":
            return sum(self.counts_for(available).values()) * spec.num_classes * torch.float32.itemsize
        return super().max_bytes(spec, available)

    def start(self, run: Run) -> Examples:
        logits = self.scale * as_dense(self.chosen(run).to(dtype=run.dtype).as_inputs())
        return SampledExamples(self, logits, run.spec)

    def restore(self, stored: Mapping[str, Tensor], spec: Spec) -> Examples:
        if self.stored_as == "rows":
            return super().restore(stored, spec)
        if set(stored) != {"logits"}:
            raise SummaryFormatError(f"{self.name} store logits, found {sorted(stored)[:5]}")
        logits = stored["logits"]
        fits = logits.ndim == 2 and len(logits) > 0 and logits.dtype == torch.float32
        if not fits or tuple(logits.shape[1:]) != spec.shape:
            raise SummaryFormatError(f"logits must be n x {spec.num_classes} of float32, found {tuple(logits.shape)}")
        return SampledExamples(self, logits, spec)

    def decoder(self) -> dict[str, Any]:
        sampling = ("draws", "gumbels", "temperature", "keep", "noise_seed")
        known = sampling if self.stored_as == "logits" else ()
        return {"stored_as": self.stored_as, **{name: getattr(self, name) for name in known}}

    @classmethod
    def from_decoder(cls, settings: Mapping[str, Any]) -> Factorization:
        known = {"stored_as", "draws", "gumbels", "temperature", "keep", "noise_seed"}
        if set(settings) not in ({"stored_as"}, known):
            raise SummaryFormatError(f"{cls.name} records {', '.join(sorted(known))}, found {sorted(settings)[:5]}")
        counts = [settings.get(name) for name in ("draws", "gumbels", "keep", "noise_seed")]
        require(
            all(count is None or type(count) is int for count in counts), "draws, gumbels and keep are whole numbers"
        )
        made = cls(**settings)
        require((made.gumbels or made.draws) <= MAX_DRAWS, f"a summary may draw {MAX_DRAWS} times at most")
        return made


MAX_DRAWS = 1000
STEADY_GUMBELS = 16


class SampledExamples(OwnedExamples):
    """Users that are sampled from logits whenever they are decoded."""

    draws_when_decoded: ClassVar[bool] = True

    def __init__(self, settings: SampledInteractions, logits: Tensor, spec: Spec) -> None:
        super().__init__(torch.zeros(len(logits), dtype=torch.int64), 1)
        self._settings, self._spec = settings, spec
        self.logits = nn.Parameter(logits.clone())

    def decode(self, indices: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        logits = self.logits if indices is None else self.logits[to_device(indices, self.logits.device)]
        rows = self._sampled(logits, indices, generator)
        return Batch(rows, rows)

    def _sampled(self, logits: Tensor, indices: Tensor | None, generator: torch.Generator | None) -> Tensor:
        settings = self._settings
        random = generator or torch.Generator().manual_seed(settings.noise_seed)
        drawn = settings.gumbels or settings.draws
        if generator is None:
            drawn = min(settings.draws, max(drawn, STEADY_GUMBELS))
        total = torch.zeros_like(logits)
        for _ in range(drawn):
            noise = _gumbel(self.logits, random)
            noise = noise if indices is None else noise[to_device(indices, noise.device)]
            total = total + ((logits + noise) / settings.temperature).softmax(dim=1)
        return _largest(F.hardtanh(total * (settings.draws / drawn)), settings.keep)

    def penalty(self, run: Context) -> Tensor | None:
        settings, spec = self._settings, self._spec
        if not settings.cardinality:
            return None
        assert isinstance(spec, InteractionSpec)
        rows = self.decode(generator=run.generator("decode")).inputs
        return settings.cardinality * rows.sum(dim=1).mean() / spec.mean_interactions

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"logits": [self.logits]}

    def stored(self) -> dict[str, Tensor]:
        if self._settings.stored_as == "logits":
            return {"logits": self.logits.detach().cpu().float().contiguous().clone()}
        assert isinstance(self._spec, InteractionSpec)
        with torch.no_grad():
            return packed_rows(SparseRows.of_dense(self.decode().inputs), self._spec)


def _gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard Gumbel noise of the shape of ``like``. It is drawn on the CPU."""
    noise = torch.empty(like.shape, dtype=like.dtype).exponential_(generator=generator).log_().neg_()
    return to_device(noise, like.device)


def _largest(rows: Tensor, keep: int | None) -> Tensor:
    """Return rows of which all but the ``keep`` largest numbers are zero, straight through."""
    if keep is None or keep >= rows.shape[1]:
        return rows
    kept = rows.detach().topk(keep, dim=1).indices
    sparse = torch.zeros_like(rows).scatter(1, kept, rows.detach().gather(1, kept))
    return sparse + (rows - rows.detach())  # in this order exactly the sparse rows
