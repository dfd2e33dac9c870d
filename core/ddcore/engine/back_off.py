"""Taking a part of a step again, in smaller micro-batches, where memory did not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ddcore.errors import DeviceMemoryError
from ddcore.ground.memory import again_if_it_does_not_fit, may_run_out, micro_batches_within
from ddcore.parts import Run

T = TypeVar("T")

SIZES = ("micro_batch", "gradient_micro_batch", "second_order_micro_batch")


class Stateful(Protocol):
    """What a checkpoint can hold."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


def take(run: Run, part: Callable[[], T], moves: Sequence[Stateful], clear: Callable[[], None] = lambda: None) -> T:
    """Return what ``part`` of the present step returns.

    If it runs out of memory, what it moves goes back to its state before, the run's micro-batches
    are halved, and it is made again. Its random numbers follow from the step, so they are the same.
    The real signal is not set back: a private one has given its answer, and is paid again. On a
    processor nothing is copied and nothing made again: there memory is that of the whole machine.

    Args:
        run: whose sizes are halved.
        part: of the step.
        moves: all that it changes, and that checkpoints hold.
        clear: drops what else a failed attempt leaves behind.

    Raises:
        DeviceMemoryError: it does not fit in micro-batches of one example, or they cannot be
            halved. All is as before the part.
    """
    if not may_run_out(run.device):
        return part()
    before = [_copied(moved.state_dict()) for moved in moves]

    def attempt() -> T:
        with micro_batches_within(run.gradient_micro_batch if run.halvings else None):
            return part()

    def smaller(reason: str) -> None:
        clear()
        for moved, state in zip(moves, before, strict=True):
            moved.load_state_dict(_copied(state))  # an optimiser takes up the tensors themselves
        _halve(run, reason)

    return again_if_it_does_not_fit(attempt, smaller)


def _halve(run: Run, reason: str) -> None:
    step = f"step {run.step} does not fit the memory of {run.device}"
    lower = (
        "lower the examples per class, the method's own batches (such as matching.real_batch or matching.synthetic_batch) "
        "or the network's width, or take precision='bf16'"
    )
    if run.spec.connected:
        raise DeviceMemoryError(f"{step}, and connected examples are not cut into micro-batches ({reason}): {lower}")
    if run.ranks.size > 1:
        raise DeviceMemoryError(
            f"{step}, and one of several processes cannot take it again alone ({reason}): give all of them "
            f"micro_batch={max(1, run.micro_batch // 2)} or less, or {lower}"
        )
    if all(getattr(run, size) == 1 for size in SIZES):
        raise DeviceMemoryError(f"{step} in micro-batches of one example ({reason}): {lower}")
    for size in SIZES:
        setattr(run, size, max(1, getattr(run, size) // 2))
    run.halvings += 1


def micro_batches(run: Run) -> list[int]:
    """Return the run's sizes and how often they were halved, for a checkpoint."""
    return [*(getattr(run, size) for size in SIZES), run.halvings]


def set_micro_batches(run: Run, saved: Sequence[int]) -> None:
    """Take up what `micro_batches` returned."""
    for size, value in zip((*SIZES, "halvings"), saved, strict=True):
        setattr(run, size, int(value))


def _copied(state: Any) -> Any:
    """Return a copy of nested state. All tensors of a device and type are copied at once."""
    pairs: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[Tensor]]] = {}

    def copy(value: Any) -> Any:
        if isinstance(value, Tensor):
            source, target = value.detach(), torch.empty_like(value)
            targets, sources = pairs.setdefault((value.device, value.dtype), ([], []))
            targets.append(target)
            sources.append(source)
            return target
        if isinstance(value, dict):
            return {key: copy(entry) for key, entry in value.items()}
        return [copy(entry) for entry in value] if isinstance(value, list | tuple) else value

    copied = copy(state)
    for targets, sources in pairs.values():
        torch._foreach_copy_(targets, sources)
    return copied
