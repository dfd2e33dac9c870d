"""Logits in as few bytes as they need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError, UnknownNameError
from ddcore.settings import require

BITS = {"float32": 32, "fp16": 16, "8bit": 8, "4bit": 4, "2bit": 2}
"""Ways to store a logit: their names and bits."""
_FLOATS = {"float32": torch.float32, "fp16": torch.float16}
_SPAN_BYTES = 4


@dataclass(frozen=True)
class LogitStorage:
    r"""How rows of logits are stored.

    Adding a number to a row changes no probability. So a row :math:`z` is stored as its gaps
    :math:`\max_c z_c - z_c \ge 0`: as floats, or rounded to one of :math:`2^b` levels between 0
    and the largest gap of all rows.

    Attributes:
        storage: ``float32``, ``fp16``, ``8bit``, ``4bit`` or ``2bit``.
        top: the number of largest logits that a row keeps, with their places. The others share one
            gap, that of the mean of their probabilities. None: a row keeps all.
    """

    storage: str = "fp16"
    top: int | None = None

    def __post_init__(self) -> None:
        if self.storage not in BITS:
            raise UnknownNameError("storage of labels", self.storage, BITS)
        require(self.top is None or (type(self.top) is int and self.top > 0), f"top must be above 0, not {self.top!r}")

    def settings(self) -> dict[str, Any]:
        """Return ``storage`` and ``top``."""
        return {"storage": self.storage, "top": self.top}

    def numbers(self, num_classes: int) -> int:
        """Return how many gaps a row stores."""
        kept = self.kept(num_classes)
        return num_classes if kept is None else kept + 1

    def kept(self, num_classes: int) -> int | None:
        """Return how many logits a row keeps with their places. None: all, without places."""
        return self.top if self.top is not None and self.top < num_classes - 1 else None

    def nbytes(self, rows: int, num_classes: int) -> int:
        """Return the bytes of ``rows`` rows, as `pack` stores them."""
        numbers, kept = rows * self.numbers(num_classes), self.kept(num_classes)
        places = 0 if kept is None else rows * kept * _place(num_classes).itemsize
        span = 0 if self.storage in _FLOATS else _SPAN_BYTES
        return -(-numbers * BITS[self.storage] // 8) + places + span

    def pack(self, logits: Tensor) -> dict[str, Tensor]:
        """Return the tensors that store logits ``n x num_classes``."""
        logits = logits.detach().cpu().double()
        gaps = logits.max(dim=1, keepdim=True).values - logits
        kept, stored = self.kept(logits.shape[1]), {}
        if kept is not None:
            places = gaps.topk(kept, largest=False).indices.sort(dim=1).values
            others = torch.ones_like(gaps, dtype=torch.bool).scatter(1, places, False)
            rest = -torch.logsumexp(-gaps[others].view(len(gaps), -1), dim=1) + math.log(gaps.shape[1] - kept)
            gaps = torch.cat([gaps.gather(1, places), rest.unsqueeze(1)], dim=1)
            stored["places"] = places.to(_place(logits.shape[1]))
        if self.storage in _FLOATS:
            return {**stored, "gaps": gaps.to(_FLOATS[self.storage])}
        span = max(float(gaps.max()), torch.finfo(torch.float32).tiny)
        levels = gaps.mul((2 ** BITS[self.storage] - 1) / span).round().to(torch.uint8)
        return {**stored, "gaps": _packed(levels.flatten(), BITS[self.storage]), "span": torch.tensor([span]).float()}

    def unpack(self, stored: Mapping[str, Tensor], rows: int, num_classes: int) -> Tensor:
        """Return the logits, ``rows x num_classes`` in float32. The largest of each row is 0.

        Raises:
            SummaryFormatError: names, shapes, types or values are not what `pack` stores.
        """
        return self.opened(stored, rows, num_classes).logits(slice(None))

    def opened(self, stored: Mapping[str, Tensor], rows: int, num_classes: int) -> OpenLogits:
        """Return rows that become logits when they are asked for, as `unpack` returns all of them.

        Memory grows with what is stored, not with the number of classes.
        """
        kept, numbers = self.kept(num_classes), self.numbers(num_classes)
        names = (
            {"gaps"} | ({"places"} if kept is not None else set()) | (set() if self.storage in _FLOATS else {"span"})
        )
        if set(stored) != names:
            raise SummaryFormatError(
                f"labels of storage {self.storage} are {sorted(names)}, found {sorted(stored)[:5]}"
            )
        codes, step = self._codes(stored, rows * numbers)
        codes = codes.view(rows, numbers)
        finite = not codes.is_floating_point() or bool(torch.isfinite(codes).all())
        if not finite or bool((codes < 0).any()) or not 0 < step < math.inf:
            raise SummaryFormatError("stored labels hold gaps that are negative or not finite")
        if kept is None:
            return OpenLogits(codes, step, None, num_classes)
        places = stored["places"]
        if tuple(places.shape) != (rows, kept) or places.dtype != _place(num_classes):
            raise SummaryFormatError(f"places of labels must be {rows} x {kept} of {_place(num_classes)}")
        where = places.long()
        if int(where.min()) < 0 or int(where.max()) >= num_classes or bool((where.diff(dim=1) <= 0).any()):
            raise SummaryFormatError(f"places of labels must ascend within 0..{num_classes - 1}")
        return OpenLogits(codes, step, places, num_classes)

    def _codes(self, stored: Mapping[str, Tensor], count: int) -> tuple[Tensor, float]:
        """Return stored numbers, and the gap that one of them stands for."""
        gaps, bits = stored["gaps"], BITS[self.storage]
        dtype = _FLOATS.get(self.storage, torch.uint8)
        length = count if self.storage in _FLOATS else -(-count * bits // 8)
        if gaps.numel() != length or gaps.dtype != dtype:
            raise SummaryFormatError(f"labels must be {length} of {dtype}, found {gaps.numel()} of {gaps.dtype}")
        if self.storage in _FLOATS:
            return gaps.flatten(), 1.0
        span = stored["span"]
        if tuple(span.shape) != (1,) or span.dtype != torch.float32:
            raise SummaryFormatError("the span of labels must be one float32")
        return _unpacked(gaps, bits, count), float(span) / (2**bits - 1)


@dataclass(frozen=True, eq=False)
class OpenLogits:
    """Rows of logits, as gaps: numbers that stand for multiples of one step.

    Attributes:
        codes: ``rows x k``.
        step: of the codes.
        places: class ids of all codes but the last of a row, ``rows x (k - 1)``; the last is that
            of all others. None: a row has a code for each class.
        num_classes: number of logits in a row.
    """

    codes: Tensor
    step: float
    places: Tensor | None
    num_classes: int

    def logits(self, rows: slice) -> Tensor:
        """Return the logits of some rows, ``n x num_classes`` in float32."""
        gaps = self.codes[rows].float().mul(self.step)
        if self.places is None:
            return -gaps
        where = self.places[rows].long()
        return (-gaps[:, -1:]).expand(len(gaps), self.num_classes).scatter(1, where, -gaps[:, :-1])


def _place(num_classes: int) -> torch.dtype:
    return torch.uint8 if num_classes <= 256 else torch.int32


def _packed(codes: Tensor, bits: int) -> Tensor:
    """Return whole numbers below ``2 ** bits``, as many in a byte as fit."""
    each = 8 // bits
    padded = torch.nn.functional.pad(codes, (0, -len(codes) % each)).view(-1, each)
    packed: Tensor = (padded << (torch.arange(each, dtype=torch.uint8) * bits)).sum(1, dtype=torch.uint8)
    return packed


def _unpacked(packed: Tensor, bits: int, count: int) -> Tensor:
    each = 8 // bits
    shifts = torch.arange(each, dtype=torch.uint8) * bits
    codes = packed.unsqueeze(1).bitwise_right_shift(shifts).bitwise_and(2**bits - 1)
    return codes.flatten()[:count]
