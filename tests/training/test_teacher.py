"""A teacher is trained once, resumed where it was killed, and refused where it does not fit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import ddcore as dd
from ddcore.engine import TEACHING
from ddcore.errors import NumericalError, SettingsError, TeacherError, UnsupportedError
from ddcore.ground import derive_seed, generator
from ddcore.parts import Batch, parse_architecture, suited_augmentation
from ddcore.training import teach as teaching
from ddcore.training.fit import drawn_batches
from tests.running import untrained_teacher

SHORT = replace(TEACHING, epochs=3, batch_size=40)
NETWORK = "convnet(width=4,norm=batch)"


def train(few_digits: dd.TargetData, folder: Path, **settings: object) -> dd.Teacher:
    return dd.train_teacher(few_digits, folder, **{"network": NETWORK, "training": SHORT, **settings})  # type: ignore[arg-type]


def test_a_teacher_learns_and_comes_back_from_disk(few_digits: dd.TargetData, tmp_path: Path) -> None:
    taught = train(few_digits, tmp_path / "teacher", training=replace(TEACHING, epochs=8, batch_size=20))
    assert few_digits.test is not None
    assert taught.scores(few_digits.test, few_digits.spec)["accuracy"] > 90
    back = dd.Teacher.load(tmp_path / "teacher")
    assert back == taught
    assert back.describe() == taught.describe()
    images = few_digits.spec.normalisation.apply(few_digits.test.inputs)
    assert torch.equal(back.module(images), taught.module(images))
    assert not back.module.training
    assert back.nbytes == sum(t.numel() * t.element_size() for t in back.module.state_dict().values())


def test_a_killed_training_goes_on_to_the_same_weights(
    few_digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(few_digits, tmp_path / "whole")
    monkeypatch.setattr(teaching, "CHECKPOINT_SECONDS", -1.0)

    def kill(line: str) -> None:
        if "epoch 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few_digits, tmp_path / "killed", progress=kill)
    with pytest.raises(TeacherError, match="other settings"):
        train(few_digits, tmp_path / "killed", seed=1)
    epochs: list[str] = []
    assert train(few_digits, tmp_path / "killed", progress=epochs.append) == whole
    assert epochs == ["teacher: epoch 3 of 3"]
    assert sorted(file.name for file in (tmp_path / "killed").iterdir()) == ["teacher.json", "teacher.safetensors"]


def test_a_teacher_that_is_there_is_returned_or_named_as_another(few_digits: dd.TargetData, tmp_path: Path) -> None:
    taught = train(few_digits, tmp_path)
    assert train(few_digits, tmp_path, progress=lambda line: pytest.fail(line)) == taught
    for settings, fact in (({"seed": 1}, "seed"), ({"network": "convnet(width=5)"}, "network")):
        with pytest.raises(TeacherError, match=f"another {fact}"):
            train(few_digits, tmp_path, **settings)
    with pytest.raises(TeacherError, match="another data"):
        train(few_digits.with_train(torch.arange(60), "fewer"), tmp_path)


def test_damaged_teachers_are_refused(few_digits: dd.TargetData, tmp_path: Path) -> None:
    train(few_digits, tmp_path)
    manifest = json.loads((tmp_path / "teacher.json").read_text())
    for change, message in (
        ({"schema": 9}, "version"),
        ({"weights_sha256": "0" * 64}, "is not the file"),
        ({"architecture": "convnet(width=5,norm=batch)"}, "weights are not those of"),
        ({"architecture": "convnet(width=99999)"}, "too large a network"),
        ({"architecture": "convnet(width=1,depth=20000,pooling=none)"}, "too large"),
        ({"architecture": "os.system('true')"}, "is damaged"),
        ({"facts": {}}, "is damaged"),
        ({"facts": 3}, "is damaged"),
    ):
        (tmp_path / "teacher.json").write_text(json.dumps(manifest | change))
        with pytest.raises(TeacherError, match=message):
            dd.Teacher.load(tmp_path)
    (tmp_path / "teacher.json").unlink()
    with pytest.raises(TeacherError, match="holds no teacher"):
        dd.Teacher.load(tmp_path)


def test_a_module_of_ones_own_is_a_teacher(few_digits: dd.TargetData, tmp_path: Path) -> None:
    spec = few_digits.spec
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UnsupportedError, match=r"module\.eval\(\)"):
        dd.Teacher.of(module, spec)
    taught = dd.Teacher.of(module.eval(), spec)
    taught.require_fitting(spec)
    nn.init.zeros_(module[1].weight)
    assert bool(taught.module.state_dict()["1.weight"].any()), "the caller's module is not shared"
    with pytest.raises(UnsupportedError, match="cannot be saved"):
        taught.save(tmp_path)
    with pytest.raises(UnsupportedError, match="10 logits each are needed"):
        dd.Teacher.of(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).eval(), spec)
    with pytest.raises(TeacherError, match="num_classes is 10, the run's is 11"):
        taught.require_fitting(replace(spec, num_classes=11, class_names=()))


def test_a_teacher_is_finite_and_keeps_its_final_weights(few_digits: dd.TargetData, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(module[1].bias, float("nan"))
    with pytest.raises(TeacherError, match="must be finite"):
        dd.Teacher.of(module.eval(), few_digits.spec)
    with pytest.raises(SettingsError, match="keeps its final weights"):
        train(few_digits, tmp_path, training=replace(SHORT, keep="best_validation"))


def test_a_training_that_diverges_says_so(few_digits: dd.TargetData, tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match="lower its learning rate"):
        train(few_digits, tmp_path, network="mlp(width=4)", training=replace(SHORT, learning_rate=1e30))
    assert not (tmp_path / "teacher.json").exists()


def test_only_methods_that_follow_a_teacher_take_one(few_digits: dd.TargetData) -> None:
    teacher = untrained_teacher(few_digits.spec)
    with pytest.raises(SettingsError, match="dm follows no teacher"):
        dd.methods.dm(ipc=1, preset="paper").with_teachers(teacher)
    method = dd.methods.rded(ipc=1, preset="cpu").with_teachers(teacher)
    assert method.factorization.init.teachers == method.labels.teachers == (teacher,)  # type: ignore[attr-defined, union-attr]


def test_a_training_is_the_loop_by_hand(few_digits: dd.TargetData, tmp_path: Path) -> None:
    """Order, views and learning rates of each epoch: the rate falls along a cosine to zero."""
    taught = train(few_digits, tmp_path)
    spec, pool = few_digits.spec, few_digits.train
    module = parse_architecture(NETWORK).build(spec.shape, 10, seed=derive_seed(0, "teacher")).module.train()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    schedule = replace(SHORT, augmentation=suited_augmentation(SHORT.augmentation, spec))
    updates = [
        (batch, view)
        for epoch in range(3)
        for batch, view in drawn_batches(len(pool), schedule, generator(0, "teacher-epoch", epoch))
    ]
    for number, (indices, view) in enumerate(updates):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * number / len(updates))) / 2
        batch = view(Batch(spec.normalisation.apply(pool.inputs[indices]), pool.targets[indices]))
        loss = nn.functional.cross_entropy(module(batch.inputs), batch.targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(taught.module.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
