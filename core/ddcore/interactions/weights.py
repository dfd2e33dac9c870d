"""Sparse rows as a summary stores them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ddcore.errors import SummaryFormatError
from ddcore.interactions.spec import InteractionSpec
from ddcore.parts import SparseRows

WEIGHT_BYTES = 1
LEVELS = 255


def packed_rows(rows: SparseRows, spec: InteractionSpec) -> dict[str, Tensor]:
    r"""Return the tensors that store rows with weights in (0, 1].

    ``sizes`` are the numbers of items of each user, ``items`` their numbers, and ``weights`` the
    rounded :math:`255 w`. Where all weights are 1, they are left out. Weights that round to 0 are
    dropped, but the heaviest of a user.
    """
    rows = rows.cpu()
    weights = (rows.values.detach() * LEVELS).round().clamp(0, LEVELS).to(torch.uint8)
    heaviest = torch.zeros(len(rows), dtype=rows.dtype).scatter_reduce(0, rows.rows(), rows.values.detach(), "amax")
    weights = weights.maximum((rows.values >= heaviest[rows.rows()]).to(torch.uint8))
    present = weights > 0
    stored = {
        "sizes": torch.bincount(rows.rows()[present], minlength=len(rows)).to(torch.int32),
        "items": rows.columns[present].to(spec.id_type),
    }
    return stored if bool((weights == LEVELS).all()) else {**stored, "weights": weights[present]}


def unpacked_rows(stored: Mapping[str, Tensor], spec: InteractionSpec) -> SparseRows:
    """Return the rows that `packed_rows` stored.

    Raises:
        SummaryFormatError: names, shapes, types or values are not what it makes.
    """
    if not {"sizes", "items"} <= set(stored) <= {"sizes", "items", "weights"}:
        raise SummaryFormatError(f"users store sizes, items and weights, found {sorted(stored)[:5]}")
    sizes, items, weights = stored["sizes"], stored["items"], stored.get("weights")
    if (sizes.ndim, sizes.dtype, items.ndim, items.dtype) != (1, torch.int32, 1, spec.id_type):
        raise SummaryFormatError(f"sizes must be n of int32, items k of {spec.id_type}")
    if weights is not None and (weights.shape != items.shape or weights.dtype != torch.uint8):
        raise SummaryFormatError("weights must be one byte for each item")
    counts, columns = sizes.long(), items.long()
    if not len(counts) or int(counts.min()) < 1 or int(counts.sum()) != len(columns):
        raise SummaryFormatError("each user has one item or more, and all together have as many as are stored")
    if int(columns.min()) < 0 or int(columns.max()) >= spec.num_classes:
        raise SummaryFormatError(f"items lie outside 0..{spec.num_classes - 1}")
    users = torch.arange(len(counts)).repeat_interleave(counts)
    if len((users * spec.num_classes + columns).unique()) != len(columns):
        raise SummaryFormatError("a user has an item twice")
    if weights is not None and int(weights.min()) == 0:
        raise SummaryFormatError("a weight is zero: such an item is not stored")
    values = torch.ones(len(columns)) if weights is None else weights.float() / LEVELS
    return SparseRows.of_pairs(users, columns, (len(counts), spec.num_classes), values)
