"""Precision of products, and data and networks that lie on a GPU; no GPU is needed here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ddcore as dd
from ddcore.ground import matmul_precision, to_device, usual_precision
from ddcore.parts import Split, measured
from ddcore.training import Training, fit
from tests.forked import run

GPU = torch.device("cuda")
TORCH: Any = torch.backends


def switches() -> tuple[Any, ...]:
    gpu, cpu = TORCH.cudnn, TORCH.mkldnn
    return TORCH, gpu, cpu, TORCH.cuda.matmul, gpu.conv, gpu.rnn, cpu.matmul, cpu.conv, cpu.rnn


def said(read: Callable[[], object]) -> object:
    try:
        return read()
    except RuntimeError:
        return "refused"


def everything() -> list[object]:
    """What torch says of its settings, by the new names and by the old ones."""
    old = (torch.get_float32_matmul_precision, lambda: TORCH.cudnn.allow_tf32, lambda: TORCH.cuda.matmul.allow_tf32)
    return [*(switch.fp32_precision for switch in switches()), *(said(read) for read in old)]


def reset() -> None:
    for backend in ("cuda", "mkldnn"):
        for kind in ("all", "matmul", "conv", "rnn"):
            torch._C._set_fp32_precision_setter(backend, kind, "none")  # type: ignore[attr-defined]
    new(TORCH, "none")
    torch.set_float32_matmul_precision("highest")
    TORCH.cudnn.allow_tf32 = True
    new(TORCH.cuda.matmul, "none")
    new(TORCH.mkldnn.matmul, "none")


@pytest.fixture(autouse=True)
def as_torch_starts() -> Iterator[None]:
    reset()
    yield
    reset()


def new(switch: Any, value: str) -> None:
    switch.fp32_precision = value


CALLERS: dict[str, Callable[[], object]] = {
    "stock": lambda: None,
    "old: high": lambda: torch.set_float32_matmul_precision("high"),
    "old: medium": lambda: torch.set_float32_matmul_precision("medium"),
    "old: exact convolutions": lambda: setattr(TORCH.cudnn, "allow_tf32", False),
    "old: products in tf32": lambda: setattr(TORCH.cuda.matmul, "allow_tf32", True),
    "new: all ieee": lambda: new(TORCH, "ieee"),
    "new: all tf32": lambda: new(TORCH, "tf32"),
    "new: all bf16": lambda: new(TORCH, "bf16"),
    "new: GPU tf32": lambda: new(TORCH.cudnn, "tf32"),
    "new: CPU bf16": lambda: new(TORCH.mkldnn, "bf16"),
    "new: products in tf32": lambda: new(TORCH.cuda.matmul, "tf32"),
    "new: exact convolutions": lambda: new(TORCH.cudnn.conv, "ieee"),
    "both": lambda: (setattr(TORCH.cudnn, "allow_tf32", False), new(TORCH.cudnn.rnn, "tf32"), new(TORCH, "ieee")),
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp64", None])
def test_all_settings_agree_inside_and_are_the_callers_after(caller: str, precision: str | None) -> None:
    CALLERS[caller]()
    before = everything()
    tf32 = precision in ("tf32", None)
    wanted = ["tf32" if tf32 else "ieee"] * 3

    def holds() -> bool:
        gpu = (TORCH.cuda.matmul, TORCH.cudnn.conv, TORCH.cudnn.rnn)
        return [switch.fp32_precision for switch in gpu] == wanted

    with matmul_precision(precision, GPU):
        assert holds()
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        assert TORCH.cudnn.allow_tf32 is tf32
        assert TORCH.cuda.matmul.allow_tf32 is tf32
        assert TORCH.mkldnn.matmul.fp32_precision == "ieee"
        with TORCH.cudnn.flags(enabled=True, allow_tf32=False):
            assert TORCH.cudnn.allow_tf32 is False
        assert TORCH.cudnn.allow_tf32 is tf32
        assert (TORCH.cudnn.conv.fp32_precision == "tf32") is tf32
    assert everything() == before


@pytest.mark.parametrize("caller", CALLERS)
def test_what_followed_a_parent_follows_it_again(caller: str) -> None:
    """A block does not write down what a switch only followed."""

    def after(block: bool) -> list[object]:
        reset()
        CALLERS[caller]()
        if block:
            with matmul_precision("tf32", GPU):
                pass
        found = []
        for parent in (TORCH.cudnn, TORCH.mkldnn, TORCH):
            for value in ("tf32", "ieee", "none"):
                new(parent, value)
                found.append(everything())
        return found

    assert after(block=True) == after(block=False)


def _blocks() -> None:
    before = everything()
    for precision in ("fp32", "tf32"):
        with matmul_precision(precision, GPU):
            pass
        assert everything() == before, (before, everything())


def test_settings_that_nobody_touched_read_the_same_after(tmp_path: Path) -> None:
    """Torch starts in a state that no call brings back, so it takes a new process."""
    run(_blocks, said=tmp_path / "said")


def test_a_failure_inside_restores_too() -> None:
    before = everything()
    with pytest.raises(KeyError), matmul_precision("tf32", GPU):
        raise KeyError
    assert everything() == before


def test_blocks_lie_in_blocks() -> None:
    conv, before = TORCH.cudnn.conv, everything()
    with matmul_precision("fp32", GPU):
        with matmul_precision(None, GPU):
            assert conv.fp32_precision == "ieee"
        with matmul_precision("tf32", GPU):
            with matmul_precision(None, GPU):
                assert conv.fp32_precision == "tf32"
            assert conv.fp32_precision == "tf32"
        assert conv.fp32_precision == "ieee"
        assert TORCH.cudnn.allow_tf32 is False
    assert everything() == before


def test_on_a_cpu_nothing_is_touched() -> None:
    before = everything()
    with matmul_precision("fp32", torch.device("cpu")):
        assert everything() == before


def test_the_usual_precision_is_the_devices(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    assert usual_precision(GPU) == "tf32"
    assert usual_precision(torch.device("cpu")) == "fp32"
    assert small_dm.precision is None
    assert small_dm.at_precision(None, GPU).precision == "tf32"
    assert small_dm.at_precision("bf16", GPU).precision == "bf16"
    assert dd.methods.kip(preset="paper").at_precision(None, GPU).precision == "fp64"
    record = dd.distill(few_digits, small_dm.with_steps(1)).record
    assert record["precision"] == record["method"]["precision"] == "fp32"
    report = dd.evaluate(few_digits, few_digits, networks="mlp(width=4)", runs=1, protocol="quick")
    assert report.details["precision"] == "fp32"


@pytest.fixture
def blocks_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let blocks be as on a GPU, and note what convolutions are held at when they begin."""
    noted: list[str] = []

    def on_gpu(precision: str | None, device: torch.device) -> Any:
        noted.append(precision or "None")
        return matmul_precision(precision, GPU)

    for module in ("training.fit", "parts.prediction", "sources.experts.train", "evaluation.evaluate"):
        monkeypatch.setattr(sys.modules[f"ddcore.{module}"], "matmul_precision", on_gpu)
    return noted


def test_trainings_and_tests_hold_a_precision(few_digits: dd.TargetData, blocks_for_a_gpu: list[str]) -> None:
    spec, conv = few_digits.spec, TORCH.cudnn.conv
    seen: list[str] = []

    class Spy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(64, 10)

        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(conv.fp32_precision)
            out: Tensor = self.head(inputs.flatten(1))
            return out

    new(TORCH.cudnn, "ieee")
    new(conv, "ieee")
    network = dd.networks.as_architecture(Spy).build(spec.shape, spec.num_classes, seed=0)
    seen.clear()
    batch = lambda i: dd.Batch(few_digits.train.inputs[i].float(), few_digits.train.targets[i])  # noqa: E731
    schedule = Training(epochs=1, batch_size=10)
    fit(network, batch, 20, schedule, generator=torch.Generator().manual_seed(0))
    assert set(seen) == {"tf32"}
    seen.clear()
    fit(network, batch, 20, schedule, generator=torch.Generator().manual_seed(0), precision="fp32")
    assert set(seen) == {"ieee"}
    seen.clear()
    assert few_digits.test is not None
    measured(network, few_digits.test, spec, torch.device("cpu"))
    assert set(seen) == {"tf32"}
    assert conv.fp32_precision == "ieee"


class OnGpu(Tensor):
    """A tensor that says it lies on a GPU, and refuses what torch refuses there."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def pin_memory(self, *_: Any) -> Tensor:
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")

    def cpu(self, *_: Any, **__: Any) -> Tensor:
        return self.as_subclass(Tensor)

    def to(self, *where: Any, **kwargs: Any) -> Tensor:
        return self.as_subclass(Tensor)


def on_gpu(tensor: Tensor) -> Tensor:
    return tensor.as_subclass(OnGpu)


@pytest.mark.parametrize("normalisation", ["standard", "zca"])
def test_arrays_on_a_gpu_are_loaded(digits: dd.TargetData, normalisation: str) -> None:
    x, y = digits.train.inputs[:200], digits.train.targets[:200]
    with pytest.raises(TypeError):
        on_gpu(x).numpy()
    target = dd.load_data((on_gpu(x), on_gpu(y)), normalisation=normalisation)
    assert type(target.train.inputs) is Tensor
    assert target.fingerprint() == dd.load_data((x, y), normalisation=normalisation).fingerprint()
    dd.distill(target, dd.methods.build_method("random", ipc=1), device="cpu")


def test_splits_on_a_gpu_are_moved_and_others_stay(digits: dd.TargetData) -> None:
    train = Split(on_gpu(digits.train.inputs), on_gpu(digits.train.targets))
    assert dd.TargetData(digits.name, digits.spec, train, digits.test).fingerprint() == digits.fingerprint()
    assert dd.TargetData(digits.name, digits.spec, digits.train).train is digits.train


def test_only_what_lies_on_the_cpu_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    given = torch.ones(3)
    assert torch.equal(to_device(on_gpu(given), GPU), given)
    pinned: list[int] = []
    moved: list[object] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: pinned.append(1) or self)
    monkeypatch.setattr(Tensor, "to", lambda self, *where, **how: moved.append((where, how)) or self)
    to_device(given, GPU)
    assert pinned == [1]
    assert moved == [((GPU,), {"non_blocking": True})]
    to_device(torch.empty(3, device="meta"), GPU)
    assert pinned == [1]
