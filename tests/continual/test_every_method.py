"""Every registered image method fills a memory, and a network is trained on what it holds."""

from __future__ import annotations

import pytest
import torch

import ddcore as dd
from ddapps.continual import CompressThenRecall, DistilledBuffer
from ddapps.continual.setting import Setting
from ddapps.continual.streams import benchmark
from ddcore.errors import UnsupportedError
from ddcore.evaluation import Protocol, held_out_split
from ddcore.parts import as_architecture
from ddcore.training import Training
from tests.lean import lean
from tests.running import OF_IMAGES

SHORT = Protocol("short", Training(epochs=2))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_any_method_compresses_and_is_recalled(name: str, three_tasks: list[dd.TargetData]) -> None:
    tasks = three_tasks[:2]
    spec = tasks[0].spec
    # Multi-formation gives four examples per item.
    memory = 4 if name == "idc" else 2
    buffer = DistilledBuffer(
        lean(name), f"{memory}-per-class", normalisation=spec.normalisation, num_classes=10, mirror=False
    )
    setting = Setting(spec, buffer.memory.budget, 0, as_architecture("convnet(width=4)"), device="cpu")
    strategy = CompressThenRecall(model=setting.model(0), buffer=buffer, protocol=SHORT, **setting.shared())
    stream = benchmark(tasks)
    before = [weight.clone() for weight in strategy.model.parameters()]
    for experience in stream.train_stream:
        strategy.train(experience)
    found = strategy.eval(stream.test_stream)
    tests = [held_out_split(task, "test") for task in tasks]
    right = [
        (strategy.model(spec.normalisation.apply(one.inputs)).argmax(dim=1) == one.targets).double() for one in tests
    ]
    wanted = float(torch.cat(right).mean())
    assert found["Top1_Acc_Stream/eval_phase/test_stream/Task000"] == pytest.approx(wanted, abs=1e-6)
    assert all(not torch.equal(a, b) for a, b in zip(before, strategy.model.parameters(), strict=True) if a.ndim > 1)
    assert list(buffer.memory.counts) == [(0, c) for task in tasks for c in task.spec.classes]
    assert max(buffer.memory.counts.values()) <= memory
    if buffer.memory.learns_labels:
        assert buffer.memory.summary().tensors()[1].ndim == 2
        with pytest.raises(UnsupportedError, match="CompressThenRecall"):
            len(buffer.buffer)
    else:
        assert sorted(buffer.buffer.targets) == sorted(
            c for (_, c), n in buffer.memory.counts.items() for _ in range(n)
        )
