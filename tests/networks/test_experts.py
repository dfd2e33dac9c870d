"""Experts: trained together or alone they are the same, killed or not.

What does not fit is refused.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.errors import (
    DeviceMemoryError,
    ExpertsError,
    MissingExtraError,
    NumericalError,
    SettingsError,
    UnsupportedError,
)
from ddcore.images import ConvNet, CutMix
from ddcore.networks import MLP
from ddcore.parts import NoAugmentation
from ddcore.sources import ExpertBuffer, ExpertSegments, ExpertTraining, FreshNetworks
from ddcore.sources.experts.training import Together, worth_stacking
from tests.running import shrunk

ROOT = Path(__file__).resolve().parents[2]
SHORT = ExpertTraining(epochs=3, batch_size=50)


def trained(target: dd.TargetData, directory: Path, **settings: Any) -> ExpertBuffer:
    return dd.train_experts(
        target, directory, **{"network": "convnet(width=4)", "training": SHORT, "count": 2} | settings
    )


def test_an_expert_is_a_network_trained_by_gradient_descent(few_digits: dd.TargetData, tmp_path: Path) -> None:
    training = ExpertTraining(
        epochs=2, batch_size=200, learning_rate=0.1, momentum=0.5, weight_decay=0.01, augmentation=NoAugmentation()
    )
    buffer = trained(few_digits, tmp_path / "experts", training=training, count=1)
    first, *later = buffer.rows(0, 0, 1, 2)
    network = ConvNet(width=4).build((1, 8, 8), 10, seed=0)
    sizes = [w.numel() for w in network.module.parameters()]
    with torch.no_grad():
        for weight, part in zip(network.module.parameters(), first.split(sizes), strict=True):
            weight.copy_(part.view_as(weight))
    optimiser = torch.optim.SGD(network.module.parameters(), lr=0.1, momentum=0.5, weight_decay=0.01)
    inputs = few_digits.spec.normalisation.apply(few_digits.train.inputs)
    for row in later:
        optimiser.zero_grad()
        F.cross_entropy(network(inputs), few_digits.train.targets).backward()
        optimiser.step()
        weights = torch.cat([w.detach().flatten() for w in network.module.parameters()])
        torch.testing.assert_close(weights, row, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", ["convnet(width=4)", "mlp(width=8)"])
@pytest.mark.parametrize("sharpness", [0.0, 0.05])
def test_together_they_are_what_they_are_alone(
    few_digits: dd.TargetData, tmp_path: Path, network: str, sharpness: float
) -> None:
    training = dd.override(SHORT, "sharpness", sharpness)
    alone, together = (
        trained(few_digits, tmp_path / str(n), network=network, training=training, count=3, together=n) for n in (1, 3)
    )
    for number in range(3):
        for a, b in zip(alone.rows(number, 0, 3), together.rows(number, 0, 3), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert not torch.equal(alone.rows(0, 3)[0], alone.rows(1, 3)[0])


def test_together_they_take_mixed_labels_beside_plain_ones(few_digits: dd.TargetData, tmp_path: Path) -> None:
    """CutMix mixes the batches of some networks, and leaves those of others."""
    training = replace(SHORT, augmentation=CutMix(0.5))
    alone, together = (
        trained(few_digits, tmp_path / str(n), network="mlp(width=8)", training=training, count=3, together=n)
        for n in (1, 3)
    )
    for number in range(3):
        torch.testing.assert_close(together.rows(number, 3)[0], alone.rows(number, 3)[0], rtol=1e-4, atol=1e-6)


def test_sharpness_aware_descent_by_its_formula() -> None:
    module = torch.nn.Linear(2, 2).double()
    before = torch.cat([w.detach().flatten() for w in module.parameters()])
    batch = dd.Batch(torch.randn(5, 2, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1]))
    together = Together([module])
    together.take_step([batch], ExpertTraining(learning_rate=0.1, sharpness=0.3, gap=0.4))

    def gradient(weights: torch.Tensor) -> torch.Tensor:
        leaf = weights.clone().requires_grad_()
        loss = F.cross_entropy(F.linear(batch.inputs, leaf[:4].view(2, 2), leaf[4:]), batch.targets)
        return torch.autograd.grad(loss, leaf)[0]

    g = gradient(before)
    perturbed = gradient(before + 0.3 * before**2 * g / (before * g).norm())
    orthogonal = g - (g @ perturbed) / (perturbed @ perturbed) * perturbed
    after = torch.cat([w.detach().flatten() for w in together.weights])
    torch.testing.assert_close(after, before - 0.1 * (perturbed - 0.4 * orthogonal))


def test_killed_training_goes_on_and_ends_the_same(
    few_digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddcore.sources.experts.train.CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("ddcore.sources.experts.train.REPORT_SECONDS", -1.0)
    whole = trained(few_digits, tmp_path / "whole")

    def kill(line: str) -> None:
        if line.startswith("experts 1: epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(few_digits, tmp_path / "killed", progress=kill)
    assert list((tmp_path / "killed").glob("partial-*"))
    assert ExpertBuffer(tmp_path / "killed").present() == [0]
    lines: list[str] = []
    resumed = trained(few_digits, tmp_path / "killed", progress=lines.append)
    assert lines[0].startswith("experts 1: epoch 2")
    assert not list((tmp_path / "killed").glob("partial-*"))
    assert resumed.sha256() == whole.sha256()
    more = trained(few_digits, tmp_path / "killed", count=3)
    assert more.present() == [0, 1, 2] and more.seconds > resumed.seconds > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "convnet(width=5)"}, "architecture.width is 4, the run's is 5"),
        ({"seed": 1}, "seed is 0, the run's is 1"),
        ({"training": dd.override(SHORT, "epochs", 4)}, "training.epochs is 3, the run's is 4"),
    ],
)
def test_other_settings_are_refused(
    few_digits: dd.TargetData, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    trained(few_digits, tmp_path)
    with pytest.raises(ExpertsError, match=message):
        trained(few_digits, tmp_path, **change)


def segments(directory: Path, **settings: Any) -> dd.Method:
    method = dd.methods.mtt(ipc=1, preset="cpu").with_steps(2)
    source = {
        "architecture": ConvNet(width=4),
        "last_start": 2,
        "length": 1,
        "count": None,
        "directory": str(directory),
    }
    return dd.override(method, "networks", ExpertSegments(**source | settings))


def test_a_run_refuses_experts_that_do_not_fit(
    digits: dd.TargetData, few_digits: dd.TargetData, tmp_path: Path
) -> None:
    trained(few_digits, tmp_path)
    assert dd.distill(few_digits, segments(tmp_path)).record["experts"]["count"] == 2
    others = few_digits.with_train(torch.arange(0, 120, 2), "half")
    with pytest.raises(ExpertsError, match=r"facts\.data"):
        dd.distill(others, segments(tmp_path))
    plain = dd.load_data(
        {"x_train": few_digits.train.inputs, "y_train": few_digits.train.targets}, normalisation="none", num_classes=10
    )
    with pytest.raises(ExpertsError, match=r"facts\.(data|normalisation)"):
        dd.distill(plain, segments(tmp_path))
    with pytest.raises(ExpertsError, match=r"architecture\.width is 4, the run's is 6"):
        dd.distill(few_digits, segments(tmp_path, architecture=ConvNet(width=6)))
    with pytest.raises(ExpertsError, match="need experts of 4 epochs; these have 3"):
        dd.distill(few_digits, segments(tmp_path, last_start=4))
    with pytest.raises(ExpertsError, match="need experts of 9 epochs; these have 8"):
        dd.distill(few_digits, dd.override(dd.methods.mtt(ipc=1, preset="cpu"), "networks.last_start", 7))
    with pytest.raises(ExpertsError, match="train 1 more"):
        dd.distill(few_digits, segments(tmp_path, count=3))
    with pytest.raises(ExpertsError, match="no experts"):
        dd.distill(few_digits, segments(tmp_path / "nowhere"))


def test_damage_is_noticed(few_digits: dd.TargetData, tmp_path: Path) -> None:
    trained(few_digits, tmp_path)
    path = tmp_path / "expert-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ExpertsError, match="missing or damaged"):
        dd.distill(few_digits, segments(tmp_path))
    manifest = json.loads((tmp_path / "experts.json").read_text())
    entry = manifest["experts"]["0"]
    endless = {**manifest, "training": {**manifest["training"], "epochs": float("1e300")}}
    for broken in (
        {**manifest, "schema": 9},
        endless,
        {**manifest, "experts": {"x": {}}},
        {**manifest, "experts": {"9" * 5000: entry}},
        {**manifest, "experts": {"00": entry}},
        {**manifest, "experts": {"0": {**entry, "seconds": "5"}}},
        {**manifest, "experts": 3},
    ):
        (tmp_path / "experts.json").write_text(json.dumps(broken))
        with pytest.raises(ExpertsError, match=r"experts\.json"):
            ExpertBuffer(tmp_path)


@pytest.mark.parametrize("rows", [torch.zeros(4), torch.zeros(4, 1), torch.full((4, 374), float("nan"))])
def test_weights_that_do_not_fit_the_network_are_refused(
    few_digits: dd.TargetData, tmp_path: Path, rows: torch.Tensor
) -> None:
    buffer = trained(few_digits, tmp_path, count=1)
    buffer.add(0, rows, 1.0)
    with pytest.raises(ExpertsError, match="expert"):
        dd.distill(few_digits, segments(tmp_path))


def test_experts_of_two_writers_are_all_kept(few_digits: dd.TargetData, tmp_path: Path) -> None:
    trained(few_digits, tmp_path)
    first, second = ExpertBuffer(tmp_path), ExpertBuffer(tmp_path)
    first.add(2, torch.zeros(4, 374), 1.0)
    second.add(3, torch.zeros(4, 374), 1.0)
    assert ExpertBuffer(tmp_path).present() == [0, 1, 2, 3]


def test_flat_experts_are_not_taken_for_others(few_digits: dd.TargetData, tmp_path: Path) -> None:
    trained(few_digits, tmp_path)
    flat = dd.override(segments(tmp_path), "networks.training.sharpness", 0.01)
    with pytest.raises(ExpertsError, match=r"sharpness 0\.0, this method's are with 0\.01"):
        dd.distill(few_digits, flat)


def test_what_cannot_be_an_expert(few_digits: dd.TargetData, tmp_path: Path) -> None:
    target = dd.load_data("digits").of_classes([0, 1])
    with pytest.raises(UnsupportedError, match="BatchNorm"):
        dd.train_experts(target, Path("unused"), network="convnet(width=4,norm=batch)", count=1)
    assert not Path("unused").exists()

    def with_dropout() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(64, 10))

    with pytest.raises(UnsupportedError, match="dropout"):
        dd.train_experts(target, Path("unused"), network=with_dropout, count=1)
    with pytest.raises(UnsupportedError, match="one architecture"):
        dd.distill(few_digits, shrunk("mtt").on_networks(["convnet(width=4)", "convnet(width=5)"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(ExpertsError, match="is a file"):
        trained(few_digits, tmp_path / "file")
    with pytest.raises(SettingsError, match="count"):
        dd.train_experts(target, Path("unused"), count=0)


def test_divergence_names_the_epoch(few_digits: dd.TargetData, tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match="epoch 0"):
        trained(few_digits, tmp_path, training=dd.override(SHORT, "learning_rate", 1e30))


def test_convolutions_are_trained_one_after_the_other_on_a_processor() -> None:
    conv, plain = (kind.build((1, 8, 8), 10, seed=0).module for kind in (ConvNet(width=2), MLP(width=4)))
    processor, gpu = torch.device("cpu"), torch.device("cuda")
    assert [worth_stacking(m, d) for m in (conv, plain) for d in (processor, gpu)] == [False, True, True, True]


def test_without_ray_the_remedy_is_named(
    few_digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"\[ray\]"):
        trained(few_digits, tmp_path, workers=2)


def test_other_matchings_may_start_from_experts(few_digits: dd.TargetData, tmp_path: Path) -> None:
    trained(few_digits, tmp_path)
    method = dd.override(dd.methods.dc(ipc=1, preset="cpu"), "networks", segments(tmp_path).networks)
    assert len(dd.distill(few_digits, method, steps=2)) == 3
    with pytest.raises(UnsupportedError, match="ExpertSegments"):
        dd.override(segments(tmp_path), "networks", FreshNetworks())


def test_as_many_experts_take_a_gradient_at_once_as_fit(
    few_digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a step is applied before all gradients are there, so experts are the same."""
    lots: list[int] = []
    original, held = Together._of_lot, 5

    def of_lot(self: Together, weights: Any, batches: Any) -> Any:
        if len(batches) > held:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        lots.append(len(batches))
        return original(self, weights, batches)

    def five(name: str) -> ExpertBuffer:
        training = dd.override(SHORT, "sharpness", 0.05)
        return trained(few_digits, tmp_path / name, network="mlp(width=8)", training=training, count=5)

    monkeypatch.setattr(Together, "_of_lot", of_lot)
    whole = five("whole")
    assert set(lots) == {5}
    held = 2
    lots.clear()
    halved = five("halved")
    assert lots[:6] == [2, 2, 1, 2, 2, 1]
    each = 50 * 4 * 8 * 128 * 64  # bytes of the graphs of a batch of images of 8 px
    monkeypatch.setattr(sys.modules["ddcore.ground.memory"], "free_memory", lambda device: 2 * 3 * each)
    held = 5
    lots.clear()
    sized = five("sized")
    assert lots[:6] == [2, 2, 1, 2, 2, 1]
    for number in range(5):
        for found in (halved, sized):
            for a, b in zip(whole.rows(number, 0, 3), found.rows(number, 0, 3), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    held = 0
    with pytest.raises(DeviceMemoryError, match=r"one step of one expert .*batch_size"):
        five("never")
