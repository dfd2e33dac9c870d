"""Few answers in public subspaces, kept, and free steps on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ddcore as dd
from ddapps.privacy import NO_LEDGER, Certificate, PrivateMethod, RepeatableEntropy, public_subspace, verify
from ddapps.privacy.baselines import mean_features
from ddapps.privacy.kept import KeptAnswers
from ddapps.privacy.subspace import PublicSubspace, smooth_noise
from ddcore.errors import SettingsError
from ddcore.images import ImageSpec, MultiFormation
from ddcore.parts import Split
from ddcore.sources import FixedNetworks
from tests.privacy.test_privatize import KilledAt, KilledError

Builder = Callable[..., PrivateMethod]


def private(target: dd.TargetData, steps: int = 9, factor: int = 1) -> PrivateMethod:
    return public_subspace(
        target,
        epsilon=5.0,
        delta=1e-3,
        accountant="rdp",
        ipc=1,
        factor=factor,
        networks=3,
        rank=4,
        width=4,
        steps=steps,
    )


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_the_subspace_is_that_of_the_public_images_features(whitening: float) -> None:
    """Principal directions of their covariance, scaled, and cut at their median norm."""
    public = torch.randn(300, 6) @ torch.diag(torch.tensor([5.0, 3.0, 1.0, 0.1, 0.1, 0.1])) + 2
    inner = PublicSubspace(nn.Identity(), public, 3, whitening, 2).inner(public).abs()
    variances, directions = torch.linalg.eigh(torch.cov(public.T).double())
    wanted = (public - public.mean(dim=0)).double() @ directions.flip(1)[:, :3]
    wanted *= (variances[-1] / variances.flip(0)[:3]) ** (whitening / 2)
    norms = wanted.norm(dim=1, keepdim=True)
    assert torch.allclose(inner.double(), (wanted / norms.clamp_min(norms.median())).abs(), atol=1e-4)
    assert torch.allclose(inner.norm(dim=1).sort().values[150:], torch.ones(150))
    with pytest.raises(SettingsError, match="images that differ"):
        PublicSubspace(nn.Identity(), torch.ones(9, 6), 3, whitening, 2)
    with pytest.raises(SettingsError, match="rank is 7, the public features span 6"):
        PublicSubspace(nn.Identity(), public, 7, whitening, 2)


def test_networks_see_images_at_the_resolution_of_a_tile(private_digits: dd.TargetData) -> None:
    """What averages away at a tile's size changes no answer."""
    method = private(private_digits, factor=2).method
    assert method.factorization == MultiFormation(ipc=1, factor=2, init="noise")
    module = next(iter(method.networks.modules)) if isinstance(method.networks, FixedNetworks) else None
    assert isinstance(module, PublicSubspace)
    images = torch.rand(5, 1, 8, 8)
    means = F.avg_pool2d(images, 2).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert not torch.allclose(images, means, atol=0.1)
    assert torch.allclose(module.inner(images), module.inner(means), atol=1e-5)


def test_it_makes_images_alone() -> None:
    with pytest.raises(SettingsError, match="makes images; wine is tables"):
        public_subspace(dd.load_data("wine"), epsilon=1.0, delta=1e-3)


def test_rank_and_tiles_follow_the_size_of_the_data(private_digits: dd.TargetData) -> None:
    many = dict.fromkeys(range(10), 1000)
    large = dd.TargetData(
        "large", ImageSpec((1, 28, 28), 10, tuple(range(10))), Split(torch.zeros(10, 1, 28, 28), torch.arange(10))
    )
    budget = {"epsilon": 5.0, "delta": 1e-4, "accountant": "rdp", "networks": 1}
    for target, counts, rank, factor in (
        (large, many, 256, 2),
        (large, many | {3: 999}, 64, 2),
        (private_digits, None, 64, 1),
    ):
        method = public_subspace(target, **budget, counts=counts).method  # type: ignore[arg-type]
        assert isinstance(method.networks, FixedNetworks) and isinstance(method.factorization, MultiFormation)
        assert isinstance(method.networks.modules[0], PublicSubspace)
        assert method.networks.modules[0].head.in_features == rank and method.factorization.factor == factor


def test_public_images_are_nobodys_and_the_same_each_time() -> None:
    images = smooth_noise((1, 9, 7), 50)
    assert images.shape == (50, 1, 9, 7) and float(images.abs().max()) <= 1
    assert torch.equal(images, smooth_noise((1, 9, 7), 50))


def test_each_network_is_asked_once_and_steps_are_free(private_digits: dd.TargetData) -> None:
    summary = private(private_digits).distill(private_digits, ledger=NO_LEDGER)
    certificate = Certificate.of(summary)
    assert (certificate.steps, summary.record["steps"], certificate.repeated) == (3, 9, True)
    assert certificate.queries[0][1:] == (1.0, 3)
    assert certificate.epsilon <= 5.0 and verify(summary).holds
    longer = private(private_digits, steps=30).distill(private_digits, ledger=NO_LEDGER)
    assert Certificate.of(longer).epsilon == certificate.epsilon


def test_a_network_gets_its_own_answer_again(private_digits: dd.TargetData) -> None:
    seen: dict[str, list[torch.Tensor]] = {}

    class Watched(KeptAnswers):
        def features(self, network, groups, views, count):  # type: ignore[no-untyped-def]
            for answer in super().features(network, groups, views, count):
                key = f"{id(network)} {answer.classes}"
                seen.setdefault(key, []).append(answer.mean.clone())
                yield answer

    replace(private(private_digits), signal=Watched).distill(private_digits, ledger=NO_LEDGER)
    assert len(seen) == 3 * 3  # networks x classes
    for answers in seen.values():
        assert len(answers) == 3 and all(torch.equal(answer, answers[0]) for answer in answers)
    firsts = [answers[0] for answers in seen.values()]
    assert not any(torch.equal(a, b) for i, a in enumerate(firsts) for b in firsts[:i])


def test_a_killed_run_goes_on_with_the_answers_that_it_has(private_digits: dd.TargetData, tmp_path: Path) -> None:
    whole = private(private_digits).distill(private_digits, entropy=RepeatableEntropy(1), ledger=NO_LEDGER)
    with pytest.raises(KilledError):
        private(private_digits).distill(
            private_digits, callbacks=[KilledAt(5)], entropy=RepeatableEntropy(1), out=tmp_path / "a"
        )
    resumed = private(private_digits).distill(private_digits, out=tmp_path / "a")
    assert torch.equal(*(next(summary.examples()[0].parameters()) for summary in (resumed, whole)))
    assert Certificate.of(resumed).steps == 3


@pytest.mark.parametrize("build", [public_subspace, mean_features])
def test_the_same_call_in_another_process_is_the_same_run(build: Builder, private_digits: dd.TargetData) -> None:
    """Weights that are drawn without the seed would make it another run, which pays again."""
    first = build(private_digits, epsilon=5.0, delta=1e-3, accountant="rdp", ipc=1)
    torch.rand(1)
    again = build(private_digits, epsilon=5.0, delta=1e-3, accountant="rdp", ipc=1)
    assert first.method.describe() == again.method.describe()
