"""Steps that do not fit the memory leave nothing behind, and are taken again in smaller pieces."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ddcore as dd
from ddcore.engine import back_off
from ddcore.engine.back_off import take
from ddcore.errors import DeviceMemoryError
from ddcore.images import Pixels
from ddcore.parts import NoAugmentation
from ddcore.sources import NetworkPool, TrainedOnReal, TrainedOnSynthetic
from tests.running import in_float64, shrunk

WHOLE, HALF = 8, 4


class Memory(nn.Module):
    """The first layer of a network. It counts its calls, and runs out of memory at some of them.

    Args:
        fails_at: the first such call, if its batch has several examples. It is the only one.
        holds: examples in a batch that always fit.
    """

    def __init__(self, fails_at: int | None = None, holds: int | None = None) -> None:
        super().__init__()
        self.fails_at, self.holds, self.calls = fails_at, holds, 0

    def forward(self, inputs: Tensor) -> Tensor:
        if not bool(inputs.any()):
            return inputs  # a new network is looked at with two blank examples
        self.calls += 1
        failing = self.fails_at is not None and self.calls > self.fails_at and len(inputs) > 1
        if failing:
            self.fails_at = None
        if failing or (self.holds is not None and len(inputs) > self.holds):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return inputs

    def __deepcopy__(self, memo: Any) -> Memory:
        return self

    def network(self) -> nn.Module:
        return nn.Sequential(self, nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 10))


@pytest.fixture(scope="module")
def fewer(few_digits: dd.TargetData) -> dd.TargetData:
    """Return ten digits of each class."""
    return few_digits.with_train(torch.arange(0, 120, 4), "fewer digits")


@pytest.fixture(autouse=True)
def quick_collection() -> Iterator[None]:
    """Objects of the packages that are imported are not looked through again and again."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def memory_that_may_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a processor's memory runs out as an accelerator's does."""
    monkeypatch.setattr(back_off, "may_run_out", lambda device: True)


def test_a_processor_copies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    class Unreadable:
        def state_dict(self) -> None:
            raise AssertionError("the state was read")

    run: Any = SimpleNamespace(device=torch.device("cpu"))
    moves: Any = (Unreadable(),)
    assert take(run, lambda: 7, moves) == 7


def method_of(name: str, memory: Memory) -> dd.Method:
    method = shrunk(name, "mlp(width=4)", steps=3).on_networks(memory.network)
    if isinstance(method.networks, TrainedOnSynthetic):
        method = dd.override(method, "networks.inner", 2)
    if isinstance(method.networks, TrainedOnReal):
        few = replace(method.networks, examples=30, batch_size=10, augmentation=NoAugmentation())
        method = replace(method, networks=few)
    if isinstance(method.networks, NetworkPool):
        method = dd.override(method, "networks.size", 2)
    return method


def distilled(target: dd.TargetData, name: str, memory: Memory, **settings: Any) -> tuple[Tensor, dd.DataSummary]:
    with in_float64() as examples:
        summary = dd.distill(target, method_of(name, memory), precision="fp64", **settings)
    return torch.cat([p.detach().flatten() for p in examples[0].parameters()]), summary


@pytest.mark.parametrize("name", ["dm", "dc", "idc_i", "cafe", "frepo"])
def test_a_step_that_runs_out_of_memory_is_taken_again_in_halves(fewer: dd.TargetData, name: str) -> None:
    """Wherever it happens: before or after an update of a step, or while networks train."""
    counting = Memory()
    distilled(fewer, name, counting, micro_batch=WHOLE)
    wanted, _ = distilled(fewer, name, Memory(), micro_batch=HALF)
    tried = sorted({counting.calls * part // 4 for part in range(4)})
    for fails_at in tried:
        found, summary = distilled(fewer, name, Memory(fails_at), micro_batch=WHOLE)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)
        assert summary.record["micro_batch"] == {"examples": HALF, "halvings": 1}, fails_at


def test_it_is_halved_until_it_fits(fewer: dd.TargetData) -> None:
    wanted, undisturbed = distilled(fewer, "dc", Memory(), micro_batch=1)
    found, summary = distilled(fewer, "dc", Memory(holds=1), micro_batch=WHOLE)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)
    assert summary.record["micro_batch"] == {"examples": 1, "halvings": 5}  # pieces of second order have 32
    assert undisturbed.record["micro_batch"] == {"examples": 1, "halvings": 0}


def test_what_never_fits_ends_with_advice_and_leaves_no_trace(fewer: dd.TargetData) -> None:
    with in_float64() as examples, pytest.raises(DeviceMemoryError) as caught:
        dd.distill(fewer, method_of("dc", Memory(holds=0)), precision="fp64", micro_batch=WHOLE)
    for word in ("step 0", "micro-batches of one example", "CUDA out of memory", "examples per class", "bf16"):
        assert word in str(caught.value)
    first = dd.distill(fewer, method_of("dc", Memory()), precision="fp64", steps=0)
    (images,) = examples[0].parameters()
    assert torch.equal(images.detach().float(), first.tensors()[0]) and images.grad is None


def test_a_killed_run_goes_on_in_the_halves_that_it_came_to(fewer: dd.TargetData, tmp_path: Path) -> None:
    def kill(progress: dd.Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    place, request = tmp_path / "checkpoint", {"micro_batch": WHOLE, "checkpoint_seconds": 0.0}
    whole, _ = distilled(fewer, "dc", Memory(fails_at=3), **request)
    with pytest.raises(KeyboardInterrupt):
        distilled(fewer, "dc", Memory(fails_at=3), checkpoint=place, callbacks=[kill], **request)
    resumed, summary = distilled(fewer, "dc", Memory(), checkpoint=place, **request)
    assert torch.equal(resumed, whole)
    assert summary.record["micro_batch"] == {"examples": HALF, "halvings": 1}


@pytest.mark.parametrize(
    ("connected", "ranks", "words"), [(True, 1, "not cut into micro-batches"), (False, 2, "micro_batch=4 or less")]
)
def test_what_cannot_be_halved_says_so(connected: bool, ranks: int, words: str) -> None:
    run: Any = SimpleNamespace(
        step=3, device="cuda:0", micro_batch=8, gradient_micro_batch=8, second_order_micro_batch=32, halvings=0,
        spec=SimpleNamespace(connected=connected), ranks=SimpleNamespace(size=ranks),
    )  # fmt: skip
    network = nn.Linear(2, 1)
    before = network.weight.detach().clone()

    def part() -> None:
        network.weight.data.zero_()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried")

    with pytest.raises(DeviceMemoryError, match=words):
        take(run, part, (network,))
    assert torch.equal(network.weight, before) and run.halvings == 0


def test_other_errors_are_not_held_back(fewer: dd.TargetData) -> None:
    class Broken(Memory):
        def forward(self, inputs: Tensor) -> Tensor:
            if bool(inputs.any()):
                raise RuntimeError("broken")
            return inputs

    with pytest.raises(RuntimeError, match="broken"):
        dd.distill(fewer, method_of("dm", Broken()))


def test_a_failed_step_takes_no_label_with_it(fewer: dd.TargetData) -> None:
    """The labels' optimiser has momentum: a half-taken update would stay in it."""
    soft = Pixels(ipc=1, labels="soft")
    found = []
    for memory, micro_batch in ((Memory(), HALF), (Memory(fails_at=9), WHOLE)):
        method = replace(method_of("linba_no_factorization", memory), factorization=soft)
        with in_float64() as examples:
            dd.distill(fewer, method, precision="fp64", micro_batch=micro_batch)
        found.append([p.detach() for p in examples[0].parameters()])
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-11)
