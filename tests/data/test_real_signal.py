from __future__ import annotations

import torch

import ddcore as dd
from ddcore.data import ExactSignal
from ddcore.parts import NoAugmentation


def bound(target: dd.TargetData, micro_batch: int, precision: str = "fp64") -> tuple[ExactSignal, dd.Run]:
    signal = ExactSignal(target)
    run = dd.Run(
        spec=target.spec,
        real=signal,
        augmentation=NoAugmentation(),
        seed=3,
        device=torch.device("cpu"),
        precision=precision,
        micro_batch=micro_batch,
    )
    signal.begin(run)
    return signal, run


def test_micro_batched_means_equal_whole_batch_means(few_digits: dd.TargetData) -> None:
    network = dd.images.ConvNet(width=8).build((1, 8, 8), 10, seed=0, dtype=torch.float64)
    views = dict.fromkeys((0, 1, 7), NoAugmentation().draw(torch.Generator()))
    means = []
    for micro_batch in (7, 10_000):
        signal, _ = bound(few_digits, micro_batch)
        means.append([f.mean for f in signal.features(network, [[0], [1], [7]], views, 25)])
    for small, whole in zip(*means, strict=True):
        assert torch.allclose(small, whole, atol=1e-12)


def test_a_joint_group_is_the_weighted_mean_of_its_classes(few_digits: dd.TargetData) -> None:
    network = dd.images.ConvNet(width=8).build((1, 8, 8), 10, seed=0, dtype=torch.float64)
    views = dict.fromkeys((0, 1, 7), NoAugmentation().draw(torch.Generator()))
    signal, _ = bound(few_digits, 16)
    single = list(signal.features(network, [[0], [1], [7]], views, 20))
    (joint,) = signal.features(network, [[0, 1, 7]], views, 20)
    assert joint.count == 60
    assert torch.allclose(joint.mean, torch.stack([f.mean for f in single]).mean(dim=0), atol=1e-12)


def test_a_class_smaller_than_the_batch_gives_all_it_has_and_batches_hold_distinct_examples(
    few_digits: dd.TargetData,
) -> None:
    signal, run = bound(few_digits, 16)
    batch = signal.batch([0, 7], 1000, "test")
    assert batch.targets.tolist() == [0] * 40 + [7] * 40
    normalised = few_digits.spec.normalisation.apply(few_digits.of_classes([0]).train.inputs, torch.float64)
    assert torch.equal(batch.inputs[:40].flatten(1).sum(1).sort().values, normalised.flatten(1).sum(1).sort().values)
    first = signal.batch([0], 10, "test").inputs
    assert torch.equal(first, signal.batch([0], 10, "test").inputs)
    run.step = 1
    assert not torch.equal(first, signal.batch([0], 10, "test").inputs)
