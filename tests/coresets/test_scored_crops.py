"""Crops that a teacher finds easiest."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.errors import TeacherError, UnsupportedError
from ddcore.ground import generator
from ddcore.images import RandomResizedCrop, ScoredCrops
from ddcore.parts import Pool
from tests.running import untrained_teacher


def pool_of(few_digits: dd.TargetData) -> Pool:
    return Pool(few_digits.train, few_digits.spec, torch.device("cpu"))


def test_the_best_crop_of_each_image_then_the_best_images(few_digits: dd.TargetData) -> None:
    teacher, pool = untrained_teacher(few_digits.spec), pool_of(few_digits)
    rule = ScoredCrops((teacher,), candidates=12, crops=3, smallest=0.4)
    counts = {0: 4, 7: 2}
    found = rule.examples(pool, counts, generator(0, "x"), torch.float32)
    indices = rule.select(pool, counts, generator(0, "x"))
    random, crop = generator(0, "x"), RandomResizedCrop(scale=(0.4, 1.0), ratio=(1.0, 1.0), mirror=0.0)
    for class_id, count in counts.items():
        members = pool.members(class_id)
        drawn = members[torch.randperm(len(members), generator=random)[:12]]
        batch = pool.batch(drawn)
        every = torch.stack([crop.draw(random, 12)(batch).inputs for _ in range(3)])
        with torch.no_grad():
            scores = torch.stack([F.cross_entropy(teacher.module(x), batch.targets, reduction="none") for x in every])
        best, which = scores.min(dim=0)
        order = best.argsort()[:count]
        assert indices[class_id].tolist() == drawn[order].tolist()
        assert torch.equal(found[class_id].inputs, every[which, torch.arange(12)][order])
        assert found[class_id].targets.tolist() == [class_id] * count


def test_mosaics_have_a_crop_in_each_tile(few_digits: dd.TargetData) -> None:
    method = dd.methods.rded(ipc=1, preset="paper").with_teachers(untrained_teacher(few_digits.spec))
    assert (method.factorization.factor, method.factorization.init.crops) == (2, 5)  # type: ignore[attr-defined]
    small = dd.override(dd.override(method, "labels", None), "factorization.init.candidates", 8)
    summary = dd.distill(few_digits, small)
    assert (len(summary), summary.stored_bytes) == (12, 3 * (64 + 1))


def test_a_teacher_and_images_are_needed(few_digits: dd.TargetData) -> None:
    with pytest.raises(TeacherError, match="a teacher is needed"):
        dd.distill(few_digits, dd.methods.rded(ipc=1, preset="cpu"))
    table = dd.load_data((torch.rand(20, 3).numpy(), torch.arange(20).numpy() % 2), name="table")
    teacher = dd.Teacher.of(torch.nn.Sequential(torch.nn.Linear(3, 2)).eval(), table.spec)
    with pytest.raises(UnsupportedError, match="images"):
        dd.distill(table, dd.methods.rded(ipc=1, preset="paper").with_teachers(teacher).suited_to(table.spec))
