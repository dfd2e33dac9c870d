"""How much is computed at once on an accelerator, against formulas with a pretended free memory."""

from __future__ import annotations

import importlib

import pytest
import torch

from ddcore.ground import fitting_micro_batch, fitting_second_order_micro_batch
from ddcore.ground.memory import free_memory, micro_batches_within

GPU, GIB = torch.device("cuda"), 2**30


def pretend(monkeypatch: pytest.MonkeyPatch, nbytes: int) -> None:
    module = importlib.import_module("ddcore.ground.memory")
    monkeypatch.setattr(module, "free_memory", lambda device: nbytes if device.type == "cuda" else None)


@pytest.mark.parametrize(
    ("shape", "gib", "once", "twice"),
    [
        # An image of 32 px keeps 8 layers of 128 x 32 x 32 floats, 4 MiB, or 16 of them, 8 MiB. Of
        # 7 GiB half are taken: 896 times 4 MiB, 448 times 8 MiB. They are rounded to powers of two.
        ((3, 32, 32), 7, 512, 256),
        ((3, 32, 32), 8, 1024, 512),
        ((3, 32, 32), 80, 1024, 4096),
        ((3, 64, 64), 80, 1024, 1024),
        ((3, 224, 224), 80, 128, 64),
        ((3, 224, 224), 0, 1, 1),
        # A vector keeps layers of its own length, if that is more than 128: 2 MiB, then 4 MiB.
        ((65536,), 1, 256, 128),
        ((10,), 1, 1024, 4096),
    ],
)
def test_sizes_follow_from_free_memory(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], gib: int, once: int, twice: int
) -> None:
    pretend(monkeypatch, gib * GIB)
    assert fitting_micro_batch(shape, GPU) == fitting_micro_batch(shape, GPU, keeps_graph=True) == once
    assert fitting_second_order_micro_batch(shape, GPU, 1024) == twice


def test_a_cpu_and_an_unknown_device_keep_their_constants() -> None:
    cpu, other = torch.device("cpu"), torch.device("meta")
    assert [fitting_micro_batch((3, n, n), cpu) for n in (8, 28, 32, 512)] == [256, 32, 32, 1]
    assert [fitting_micro_batch((3, n, n), cpu, keeps_graph=True) for n in (8, 28, 32, 512)] == [256, 16, 16, 1]
    assert fitting_micro_batch((3, 512, 512), other) == 1024
    for device in (cpu, other):
        assert fitting_second_order_micro_batch((3, 512, 512), device, 32) == 128


def test_what_torch_holds_and_does_not_use_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("mem_get_info", (50, 900)), ("memory_reserved", 300), ("memory_allocated", 120)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_memory(GPU) == 50 + 300 - 120
    assert free_memory(torch.device("cpu")) is None


def test_a_block_holds_micro_batches_within_a_limit() -> None:
    shape, cpu = (3, 32, 32), torch.device("cpu")
    with micro_batches_within(3):
        assert fitting_micro_batch(shape, cpu) == 3
        with micro_batches_within(None):
            assert fitting_micro_batch(shape, cpu) == 32
        with micro_batches_within(100):
            assert fitting_micro_batch(shape, cpu) == 32
    assert fitting_micro_batch(shape, cpu) == 32
