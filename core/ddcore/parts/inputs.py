"""What may stand where a tensor of examples stands: an object of a modality's own.

It is indexed, joined, moved and measured as a tensor ``n x ...`` is: ``len``, ``shape``, ``dtype``,
``device``, ``[indices]``, ``split``, ``to``, ``float``, ``detach``, ``flatten``, ``torch.cat`` and
``torch.isfinite``. Beside these it says which tensors it consists of, ``tensors()``, and whether
its examples are ``connected``.
"""

from __future__ import annotations

from torch import Tensor


def tensors_of(inputs: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors that examples consist of, on the CPU. They tell equal examples apart."""
    parts = getattr(inputs, "tensors", None)
    return (inputs,) if parts is None else tuple(parts())


def are_connected(inputs: Tensor) -> bool:
    """Whether what a network says of one example depends on others, as on a graph's nodes.

    Such examples are read together: a pass over a few costs as much as one over all.
    """
    return bool(getattr(inputs, "connected", False))
