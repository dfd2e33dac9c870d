from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import ddcore as dd
from ddcore.images import Contrast, ConvNet, Hallucinators, SiameseAugmentation
from ddcore.images.factorizations.contrast import supervised_contrast
from ddcore.matching import DistributionMatching, StepSizes, UnrolledTraining
from ddcore.parts import View
from ddcore.sources import FreshNetworks
from tests.running import started

CONTRAST = Contrast(architecture=ConvNet(width=4))
SETTINGS = Hallucinators(ipc=2, hallucinators=3, width=1, contrast=CONTRAST)


def begun(target: dd.TargetData) -> dd.Run:
    run = started(target, factorization=SETTINGS)
    run.examples.begin(run)
    return run


def gradients(run: dd.Run) -> dict[str, Tensor]:
    penalty = run.examples.penalty(run)
    assert penalty is not None
    groups = run.examples.groups()
    names = [name for name, group in groups.items() for _ in group]
    found = torch.autograd.grad(penalty, [p for group in groups.values() for p in group])
    return {n: torch.cat([g.flatten() for m, g in zip(names, found, strict=True) if m == n]) for n in groups}


def test_each_side_descends_its_own_loss(few_digits: dd.TargetData) -> None:
    """Examples go where features of one basis part.

    The adversary goes where they meet and classes are told apart.
    """
    run = begun(few_digits)
    adversary = run.examples.adversary  # type: ignore[union-attr]
    assert isinstance(adversary, dd.networks.Network)
    found = gradients(run)
    assert set(found) == {"bases", "hallucinators", "adversary"}

    random = run.generator("contrast")
    bases = torch.randperm(6, generator=random)
    a, b = torch.randperm(3, generator=random)[:2].tolist()
    batch = run.examples.decode(torch.cat([bases * 3 + a, bases * 3 + b]))
    features, logits = adversary.features_and_logits(batch.inputs)
    first, second = features.chunk(2)
    cosine = (first * second).sum(dim=1) / (first.norm(dim=1) * second.norm(dim=1))
    mine = 0.1 * ((cosine + 1) / 2).mean()
    (of_bases,) = torch.autograd.grad(mine, run.examples.groups()["bases"], retain_graph=True)
    assert torch.allclose(found["bases"], of_bases.flatten(), atol=1e-10)
    loss = torch.nn.functional.cross_entropy(logits, batch.targets) + 0.1 * ((1 - cosine) / 2).mean()
    loss = loss + 0.1 * supervised_contrast(features, batch.targets, 0.07)
    wanted = torch.autograd.grad(loss, list(adversary.parameters()))
    assert torch.allclose(found["adversary"], torch.cat([g.flatten() for g in wanted]), atol=1e-10)


def test_supervised_contrast_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    targets = torch.tensor([0, 0, 1, 1, 1, 0])
    z = [f / f.norm() for f in features]
    total = 0.0
    for i in range(6):
        others = [k for k in range(6) if k != i]
        positives = [k for k in others if targets[k] == targets[i]]
        below = sum(float(torch.exp(z[i] @ z[k] / 0.5)) for k in others)
        total -= sum(float(torch.log(torch.exp(z[i] @ z[p] / 0.5) / below)) for p in positives) / len(positives)
    assert float(supervised_contrast(features, targets, 0.5)) == pytest.approx(total / 6, abs=1e-12)


@pytest.mark.parametrize("gradient", ["reverse", "backprop"])
def test_a_penalty_goes_together_with_unrolled_training(few_digits: dd.TargetData, gradient: str) -> None:
    matching = UnrolledTraining(
        inner_steps=3, synthetic_batch=1, order="random", real_batch=4, gradient=gradient, step_sizes=StepSizes(0.05)
    )
    method = dd.Method(
        factorization=SETTINGS,
        matching=matching,
        networks=FreshNetworks(ConvNet(width=4)),
        optimiser=dd.Optimiser("sgd", learning_rate=0.1),
        precision="fp64",
        steps=2,
    )
    summary = dd.distill(few_digits, method)
    assert "adversary" not in "".join(summary.parts[0].stored)
    assert summary.stored_bytes == SETTINGS.max_bytes(few_digits.spec, few_digits.counts())
    without = dd.distill(few_digits, dd.override(method, "factorization.contrast", None))
    assert without.sha256() != summary.sha256()


def test_reverse_and_backprop_agree_on_factorised_examples(few_digits: dd.TargetData) -> None:
    found = []
    for gradient in ("reverse", "backprop"):
        run = begun(few_digits)
        matching = UnrolledTraining(
            inner_steps=4, synthetic_batch=2, order="random", real_batch=4, gradient=gradient, momentum=0.5
        )
        for term in matching.terms(run, matching.start(run)):
            term.loss.backward()
        found.append(torch.cat([_gradient(p) for p in run.examples.parameters()]))
    assert torch.allclose(found[0], found[1], rtol=1e-8, atol=1e-12) and float(found[0].abs().max()) > 0


def test_a_run_goes_on_from_a_summary_with_a_new_adversary(few_digits: dd.TargetData) -> None:
    method = dd.Method(
        factorization=SETTINGS,
        matching=DistributionMatching(real_batch=10),
        networks=FreshNetworks(ConvNet(width=4)),
        optimiser=dd.Optimiser("adam", learning_rate=0.01, group_learning_rates={"adversary": 1e-3}),
        steps=2,
    )
    first = dd.distill(few_digits, method)
    longer = dd.distill(few_digits, method, start=first)
    assert longer.sha256() != first.sha256() and len(longer) == len(first)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter).flatten() if parameter.grad is None else parameter.grad.flatten()


def test_every_example_of_the_contrast_has_a_view_of_its_own(few_digits: dd.TargetData) -> None:
    """Liu et al.: one family for the batch of both hallucinators, parameters for each image.

    Source: distill_fac.py:355.
    """
    counts: list[int | None] = []

    @dataclass(frozen=True)
    class Recorded(SiameseAugmentation):
        def draw(self, generator: torch.Generator, count: int | None = None) -> View:
            counts.append(count)
            return super().draw(generator, count)

    run = started(few_digits, factorization=SETTINGS, augmentation=Recorded(("scale",)))
    run.examples.begin(run)
    gradients(run)
    # ipc 2, three classes, two hallucinators; for examples, then for the adversary
    assert counts == [2 * 3 * 2] * 2
