from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import Chain, ConvNet, CutMix, Pixels, SiameseAugmentation
from ddcore.matching import GradientMatching
from ddcore.networks import MLP
from ddcore.parts import Network, NetworkSource, OneOf, as_architecture
from ddcore.sources import FixedNetworks, FreshNetworks, NetworkPool, Plateau, TrainedOnReal, TrainedOnSynthetic
from tests.running import started

SMALL = ConvNet(width=4, depth=2)
NORMED = ConvNet(width=4, depth=2, norm="batch")
SOURCES: dict[str, NetworkSource] = {
    "fresh": FreshNetworks(OneOf((SMALL, MLP(width=4)))),
    "synthetic": TrainedOnSynthetic(NORMED, outer=3, inner=2, augment=True),
    "plateau": TrainedOnSynthetic(SMALL, plateau=Plateau(window=2, max_outer=4, max_inner=3, examples=8)),
    "real": TrainedOnReal(NORMED, outer=4, examples=20, batch_size=8, augmentation=Chain((CutMix(),))),
    "pool": NetworkPool(SMALL, size=3, max_age=4),
}


def weights(run: dd.Run) -> Tensor:
    (network,) = run.networks.current()
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def advance(run: dd.Run, steps: int) -> list[tuple[int, int]]:
    """Return (episode, age) before each of some steps."""
    seen = []
    for step in range(steps):
        run.step = step
        seen.append((run.networks.episode, run.networks.age))
        run.networks.advance()
    return seen


def test_a_network_trained_on_synthetic_is_matched_outer_times_and_trained_in_between(
    few_digits: dd.TargetData,
) -> None:
    run = started(few_digits, networks=TrainedOnSynthetic(SMALL, outer=3, inner=1))
    assert advance(run, 7) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]


def test_a_state_is_matched_several_times_before_it_trains(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=TrainedOnSynthetic(SMALL, outer=2, inner=1, steps_per_state=3))
    seen: list[Tensor] = []
    for step in range(7):
        run.step = step
        seen.append(weights(run))
        run.networks.advance()
    same = [torch.equal(a, b) for a, b in pairwise(seen)]
    assert same == [True, True, False, True, True, False]
    assert (run.networks.episode, run.networks.age) == (1, 1)


def test_inner_training_equals_gradient_descent_by_hand(few_digits: dd.TargetData) -> None:
    source = TrainedOnSynthetic(MLP(width=4, depth=1), outer=2, inner=3, learning_rate=0.1)
    run = started(few_digits, networks=source)
    (network,) = run.networks.current()
    twin = MLP(width=4, depth=1).build((1, 8, 8), 10, seed=0, dtype=torch.float64)
    twin.load_state_dict(network.state_dict())
    batch = run.examples.decode()
    for _ in range(3):
        parameters = list(twin.parameters())
        loss = F.cross_entropy(twin(batch.inputs.detach()), batch.targets)
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 0.1 * gradient
    run.networks.advance()
    expected = torch.cat([p.detach().flatten() for p in twin.parameters()])
    assert torch.allclose(weights(run), expected, atol=1e-12)
    assert not any(p.requires_grad for p in network.parameters())
    assert all(p.grad is None for p in run.examples.parameters()), "training reached into the stored parameters"


def test_the_momentum_of_training_on_real_data_lives_as_long_as_the_network(few_digits: dd.TargetData) -> None:
    source = TrainedOnReal(MLP(width=4, depth=1), outer=3, examples=6, batch_size=100, momentum=0.9, weight_decay=0.0)
    run = started(few_digits, networks=source)
    (network,) = run.networks.current()
    twin = MLP(width=4, depth=1).build((1, 8, 8), 10, seed=0, dtype=torch.float64)
    twin.load_state_dict(network.state_dict())
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.01, momentum=0.9)
    for step in range(2):
        run.step = step
        real = run.real.batch((0, 1, 7), 2, "real-training")
        optimiser.zero_grad()
        F.cross_entropy(twin(real.inputs), real.targets).backward()
        optimiser.step()
        run.networks.advance()
    expected = torch.cat([p.detach().flatten() for p in twin.parameters()])
    assert torch.allclose(weights(run), expected, atol=1e-12)


def test_training_on_real_data_learns(few_digits: dd.TargetData) -> None:
    source = TrainedOnReal(SMALL, outer=100, examples=120, augmentation=SiameseAugmentation(("crop",)))
    run = started(few_digits, networks=source, precision="fp32", micro_batch=64)
    plateau = Plateau(examples=40)
    before = plateau.check(run.networks.current()[0], run)
    advance(run, 30)
    assert plateau.check(run.networks.current()[0], run) > max(0.8, before)


def test_a_carried_check_holds_a_share_of_the_one_before() -> None:
    plain, carried = Plateau(), Plateau(carried=True)
    assert plain.carry(0.5, [0.4], 10) == 0.5
    # a_t = mean_t + a_{t-1} / 10, from a_1 = mean_1
    checks: list[float] = []
    for accuracy in (0.5, 0.6, 0.7):
        checks.append(carried.carry(accuracy, checks, 10))
    assert checks == pytest.approx([0.5, 0.65, 0.765])


def test_the_rule_of_the_plateau() -> None:
    rule = Plateau(window=3, still=0.04, moving=0.03, max_outer=8, max_inner=5)
    assert not rule.network_is_done([0.5, 0.5], age=2), "fewer checks than the window say nothing"
    assert rule.network_is_done([0.1, 0.50, 0.52, 0.53], age=4)
    assert not rule.network_is_done([0.50, 0.55, 0.53], age=3)
    assert rule.network_is_done([0.1, 0.5, 0.9], age=8), "the bound ends it"
    assert not rule.training_is_done([0.5, 0.5, 0.52], epochs=3)
    assert rule.training_is_done([0.5, 0.5, 0.54], epochs=3)
    assert rule.training_is_done([0.5] * 5, epochs=5), "the bound ends it"


@pytest.mark.parametrize(("still", "length"), [(2.0, 3), (1e-9, 5)])
def test_accuracy_that_stands_still_ends_a_network_before_the_bound(
    few_digits: dd.TargetData, still: float, length: int
) -> None:
    plateau = Plateau(window=3, still=still, moving=2.0, max_outer=5, max_inner=1, examples=40)
    run = started(few_digits, networks=TrainedOnSynthetic(SMALL, plateau=plateau, learning_rate=0.5))
    lengths = Counter(episode for episode, _ in advance(run, 2 * length))
    assert lengths == {0: length, 1: length}


@pytest.mark.parametrize(("moving", "epochs"), [(1e-9, 2), (2.0, 6)])
def test_accuracy_that_moves_ends_training_before_the_bound(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, moving: float, epochs: int
) -> None:
    plateau = Plateau(window=2, still=1e-9, moving=moving, max_inner=6, examples=40)
    run = started(few_digits, networks=TrainedOnSynthetic(SMALL, plateau=plateau))
    accuracies = iter([0.1 * i for i in range(100)])
    monkeypatch.setattr(Plateau, "check", lambda *_: next(accuracies))
    trained: list[int] = []
    monkeypatch.setattr(run.networks, "_train", lambda _run, _batch, n, _generator: trained.append(n))
    run.networks.advance()
    assert trained == [1] * epochs


def test_the_pool_holds_staggered_ages_and_retires_at_the_limit(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=NetworkPool(MLP(width=4), size=4, max_age=8))
    oldest: dict[int, int] = {}
    members = run.networks._members  # type: ignore[attr-defined]
    for step in range(120):
        run.step = step
        run.networks.advance()
        for i, member in enumerate(members):
            oldest[i] = max(oldest.get(i, 0), member.age)
            assert member.age < 8
    assert all(age == 7 for age in oldest.values()) and len({m.age for m in members}) > 1
    # Zhou et al.: counters begin at 0, 10, ..., 90. A member retires when its counter has passed
    # 100 and it is matched on.
    first_lives = [NetworkPool(MLP(width=4)).start(run)._members[i]._retires_at for i in range(10)]  # type: ignore[attr-defined]
    assert first_lives == [102 - counter for counter in range(0, 100, 10)]


def test_members_may_take_several_updates_and_begin_together(few_digits: dd.TargetData) -> None:
    """As yolky/RCIG algorithms.py:265-280 has it, with 1 to 15 updates and an end at 100."""
    source = NetworkPool(MLP(width=4), size=2, max_age=12, most_updates=3, staggered=False, learning_rate=0.1)
    run = started(few_digits, networks=source)
    assert [m._retires_at for m in run.networks._members] == [12, 12]  # type: ignore[attr-defined]
    ages, moved = [], {}
    for step in range(60):
        run.step = step
        member = run.networks._members[run.networks._picked]  # type: ignore[attr-defined]
        age, episode = member.age, member.episode
        before = torch.cat([p.flatten().clone() for p in member.current()[0].parameters()])
        run.networks.advance()
        if member.episode == episode:
            ages.append(member.age - age)
            # A first step of Adam moves no number by more than its rate: so several are seen.
            if age == 0:
                after = torch.cat([p.flatten() for p in member.current()[0].parameters()])
                moved[ages[-1]] = float((after - before).abs().max())
        else:
            assert member.age == 0 and age + 3 >= 12
    assert set(ages) == {1, 2, 3} and moved[1] <= 0.1001 < min(moved[n] for n in moved if n > 1)
    assert NetworkPool(most_updates=1) == NetworkPool()


def test_the_pool_trains_the_member_that_was_matched_on(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=NetworkPool(MLP(width=4), size=3, max_age=50))
    for step in range(5):
        run.step = step
        (network,) = run.networks.current()
        others = [m.current()[0] for m in run.networks._members if m.current()[0] is not network]  # type: ignore[attr-defined]
        before = [[p.clone() for p in n.parameters()] for n in (network, *others)]
        run.networks.advance()
        changed = [
            any(not torch.equal(a, b) for a, b in zip(old, n.parameters(), strict=True))
            for old, n in zip(before, (network, *others), strict=True)
        ]
        assert changed == [True, False, False]


def test_fixed_networks_take_turns_and_are_never_changed(few_digits: dd.TargetData) -> None:
    modules = tuple(MLP(width=4).build((1, 8, 8), 10, seed=s).module for s in (0, 1))
    run = started(few_digits, networks=FixedNetworks(modules))
    first = weights(run)
    advance(run, 1)
    second = weights(run)
    advance(run, 1)
    assert torch.equal(weights(run), first) and not torch.equal(first, second)
    described = FixedNetworks(modules).describe()["modules"]
    assert described[0][1] != described[1][1]
    with pytest.raises(SettingsError):
        FixedNetworks(())


def test_networks_are_drawn_from_a_list_of_architectures(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=FreshNetworks(OneOf((SMALL, MLP(width=4)))))
    seen: Counter[str] = Counter()
    for step in range(40):
        run.step = step
        (network,) = run.networks.current()
        seen["conv" if any(isinstance(m, nn.Conv2d) for m in network.modules()) else "mlp"] += 1
        run.networks.advance()
    assert min(seen["conv"], seen["mlp"]) > 8
    method = dd.methods.dsa(ipc=1, preset="paper").on_networks(["convnet(width=4)", "mlp(width=4)"])
    assert isinstance(method.networks, TrainedOnSynthetic) and isinstance(method.networks.architecture, OneOf)


def test_frozen_batch_norm_has_the_statistics_of_the_real_batch(few_digits: dd.TargetData) -> None:
    run = started(few_digits, networks=FreshNetworks(NORMED))
    (network,) = run.networks.current()
    conv, norm = network.module[0][0], network.module[0][1]
    real = run.real.batch((0, 1, 7), 16, "batch-norm").inputs
    with torch.no_grad():
        before = conv(real)
    assert torch.allclose(norm.running_mean, before.mean(dim=(0, 2, 3)), atol=1e-12)
    assert torch.allclose(norm.running_var, before.var(dim=(0, 2, 3)), atol=1e-12)
    assert not norm.training


@pytest.mark.parametrize(
    "source",
    [
        TrainedOnSynthetic(MLP(width=16), outer=2, inner=60, learning_rate=0.1),
        TrainedOnReal(MLP(width=16), outer=9, examples=120, batch_size=4, learning_rate=0.05),
    ],
    ids=["synthetic", "real"],
)
def test_training_in_bf16_follows_training_in_single_precision(
    few_digits: dd.TargetData, source: NetworkSource
) -> None:
    def change(precision: str) -> Tensor:
        run = started(few_digits, factorization=Pixels(ipc=3), networks=source, precision=precision, micro_batch=64)
        before = weights(run).double()
        run.networks.advance()
        return weights(run).double() - before

    exact = change("fp64")
    assert float((change("fp32") - exact).norm() / exact.norm()) < 1e-3
    assert float((change("bf16") - exact).norm() / exact.norm()) < 0.15


def dropout_network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))


@pytest.mark.parametrize("kind", [TrainedOnSynthetic, TrainedOnReal, NetworkPool])
def test_dropout_is_off_while_matching_and_reproducible_in_training(few_digits: dd.TargetData, kind: type) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=2),
        matching=GradientMatching(real_batch=10),
        networks=kind(as_architecture(dropout_network)),
        optimiser=dd.Optimiser("sgd", learning_rate=0.1),
        steps=4,
    )
    torch.manual_seed(1)
    first = dd.distill(few_digits, method)
    torch.manual_seed(2)
    assert dd.distill(few_digits, method).sha256() == first.sha256()
    fixed = started(few_digits, networks=FixedNetworks((dropout_network(),)))
    (network,) = fixed.networks.current()
    inputs = fixed.examples.decode().inputs.detach()
    assert torch.equal(network(inputs), network(inputs))


def test_batch_norm_without_statistics_is_refused(few_digits: dd.TargetData) -> None:
    def build() -> nn.Module:
        norm = nn.BatchNorm2d(4, track_running_stats=False)
        return nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

    for source in (FreshNetworks(as_architecture(build)), FixedNetworks((build().eval(),))):
        with pytest.raises(UnsupportedError, match="BatchNorm"):
            started(few_digits, networks=source)


def test_a_module_of_a_network_can_be_used_again(few_digits: dd.TargetData) -> None:
    network = MLP(width=4).build((1, 8, 8), 10, seed=0)
    inputs = torch.randn(2, 1, 8, 8)
    network.features(inputs)
    expected = network.module(inputs)
    run = started(few_digits, networks=FixedNetworks((network.module,)), precision="fp32")
    (copied,) = run.networks.current()
    assert torch.equal(copied(inputs), expected)
    assert len(copied.module.get_submodule(copied.head)._forward_pre_hooks) == 1
    again = as_architecture(network.module).build((1, 8, 8), 10, seed=1)
    assert again.features(inputs).shape == (2, 4)


def test_a_factory_whose_structure_varies_is_followed(few_digits: dd.TargetData) -> None:
    def build() -> nn.Module:
        width = int(torch.randint(3, 9, (1,)))
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    run = started(few_digits, networks=FreshNetworks(as_architecture(build)))
    widths = set()
    for step in range(20):
        run.step = step
        widths.add(run.networks.current()[0].module[1].out_features)  # type: ignore[union-attr,index]
        run.networks.advance()
    assert len(widths) > 2


def test_activations_of_a_shared_module_are_all_seen() -> None:
    relu = nn.ReLU()
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), relu, nn.Linear(16, 12), relu, nn.Linear(12, 10))
    network = Network(module, "5")
    assert [a.shape[1] for a in network.activations(torch.randn(2, 1, 8, 8))] == [16, 12, 12]


@pytest.mark.parametrize("name", SOURCES)
def test_a_resumed_run_equals_an_uninterrupted_one(few_digits: dd.TargetData, tmp_path: Path, name: str) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=2),
        matching=GradientMatching(real_batch=10),
        networks=SOURCES[name],
        optimiser=dd.Optimiser("sgd", learning_rate=0.1, drops=(0.5,)),
        augmentation=SiameseAugmentation(),
        steps=9,
    )
    whole = dd.distill(few_digits, method)
    path = tmp_path / "run.state"

    def keep(progress: dd.Progress) -> None:
        if progress.step in (3, 6):
            shutil.copy(path, tmp_path / f"{progress.step}.kept")

    dd.distill(few_digits, method, checkpoint=path, checkpoint_seconds=0.0, callbacks=[keep])
    for step in (3, 6):
        shutil.copy(tmp_path / f"{step}.kept", path)
        resumed = dd.distill(few_digits, method, checkpoint=path)
        assert resumed.sha256() == whole.sha256()


@pytest.mark.parametrize(
    "build",
    [
        lambda: TrainedOnSynthetic(outer=0),
        lambda: TrainedOnReal(examples=0),
        lambda: NetworkPool(size=0),
        lambda: NetworkPool(loss="hinge"),
        lambda: Plateau(window=1),
        lambda: OneOf(()),
    ],
)
def test_bad_settings_are_refused(build: object) -> None:
    with pytest.raises(dd.errors.DistillationError):
        build()  # type: ignore[operator]
