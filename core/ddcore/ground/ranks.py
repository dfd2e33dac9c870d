"""Several processes that take the steps of one run together: torch.distributed's ranks."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ddcore.errors import ProcessGroupError, SettingsError

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those of a run.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[T], places: Sequence[int]) -> list[T]:
        """Return this process's items.

        Args:
            items: the same in all processes.
            places: a number for each item. Items with equal numbers go to the same process.
        """
        return [item for item, number in zip(items, places, strict=True) if number % self.size == self.rank]

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums over all processes, in one exchange. All processes get the same bits.

        The tensors have one type. Their shapes are the same in all processes.

        Raises:
            ProcessGroupError: another process has ended.
        """
        if self.size == 1 or not tensors:
            return list(tensors)
        flat = torch.cat([t.detach().reshape(-1) for t in tensors])
        self._reduce(flat, dist.ReduceOp.SUM)
        return [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]

    def largest(self, number: float, device: torch.device) -> float:
        """Return the largest of all processes' numbers. The host waits for it."""
        if self.size == 1:
            return number
        held = torch.tensor(number, dtype=torch.float64, device=device)
        self._reduce(held, dist.ReduceOp.MAX)
        return float(held)

    def require_equal(self, facts: Mapping[str, Any], device: torch.device) -> None:
        """Raise `ProcessGroupError` unless these facts, as JSON data, are the same everywhere."""
        if self.size == 1:
            return
        for name, fact in facts.items():
            digest = hashlib.sha256(json.dumps(fact, sort_keys=True, default=str).encode()).digest()
            number = float(int.from_bytes(digest[:6], "big"))
            if self.largest(number, device) != -self.largest(-number, device):
                raise ProcessGroupError(f"the processes of this run differ in {name}: start all with the same words")

    def _reduce(self, tensor: Tensor, operation: Any) -> None:
        try:
            dist.all_reduce(tensor, operation)
        except RuntimeError as error:
            raise ProcessGroupError(
                f"process {self.rank} of {self.size} lost another one, which has ended: its own message says why. "
                "The same words go on from the last checkpoint, with any number of processes"
            ) from error


ALONE = Ranks()


def launched() -> Ranks:
    """Return this process among those that ``torchrun`` started, or `ALONE`."""
    return Ranks(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def local_device(device: torch.device) -> torch.device:
    """Return this process's GPU where a GPU was asked for without its number."""
    if str(device) != "cuda":
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def join_process_group(device: torch.device) -> Ranks:
    """Join the processes of this run: by gloo on processors, by nccl on GPUs.

    A group that the caller has made is used. One that is made here stays until this process ends:
    a second one could not be told from the first where they meet.

    Raises:
        SettingsError: no launcher has started this process.
    """
    if not dist.is_initialized():
        if "RANK" not in os.environ:
            raise SettingsError(
                "distributed=True is for processes that torchrun started: torchrun --nproc-per-node 2 ..."
            )
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return Ranks(dist.get_rank(), dist.get_world_size())
