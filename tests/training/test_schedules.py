"""Schedules of evaluation: how long, at which rate."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.networks import MLP
from ddcore.parts import mixed_batches
from ddcore.training import Training, fit


def rates_of(training: Training, size: int = 6) -> list[float]:
    """Return the learning rate of every update, read off what a step moves.

    With a constant gradient, the rate is the step.
    """
    network = MLP(width=2).build((1, 2, 2), 2, seed=0)
    weight = next(network.parameters())
    moved: list[float] = []
    before = weight.detach().clone()

    def watch(*_: object) -> None:
        nonlocal before
        moved.append(float((weight.detach() - before).abs().max()))
        before = weight.detach().clone()

    network.logits = lambda inputs: weight.sum() + torch.zeros(len(inputs), 2)  # type: ignore[method-assign]
    inputs = torch.zeros(size, 1, 2, 2)
    plain = replace(training, momentum=0.0, weight_decay=0.0, batch_size=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(dd.training.LOSSES, "cross_entropy", lambda logits, targets: logits[:, 0])
        batch = dd.Batch(inputs, torch.zeros(size, dtype=torch.int64))
        fit(
            network,
            lambda i: dd.Batch(batch.inputs[i], batch.targets[i]),
            size,
            plain,
            generator=torch.Generator(),
            watch=watch,
        )
    return moved


def test_a_rate_may_drop_more_than_once() -> None:
    rates = rates_of(Training(epochs=6, learning_rate=1.0, drop_at=(2 / 3, 5 / 6), drop=0.2, restart=False))
    assert rates == pytest.approx([1.0] * 12 + [0.2] * 3 + [0.04] * 3, rel=1e-4)


def test_warmup_and_cosine() -> None:
    rates = rates_of(Training(epochs=2, learning_rate=1.0, drop_at=1.0, warmup=2, cosine=0.1))
    # From zero in two updates; then from 1 towards .1 along a cosine of four.
    assert rates == pytest.approx(
        [0.0, 0.5, 1.0, 0.1 + 0.45 * (1 + 2**-0.5), 0.55, 0.1 + 0.45 * (1 - 2**-0.5)], abs=1e-4
    )


@pytest.mark.parametrize(("size", "updates"), [(2, 5), (6, 5), (7, 11), (9, 11)])
def test_updates_may_be_counted_by_the_number_of_examples(size: int, updates: int) -> None:
    training = Training(updates={4: 5, 7: 11}, learning_rate=1.0, drop_at=1.0)
    assert training.updates_for(size) == updates == len(rates_of(training, size))


def test_momentum_ends_at_a_drop_only_where_the_protocol_says_so() -> None:
    def last_step(restart: bool) -> float:
        network = MLP(width=2).build((1, 2, 2), 2, seed=0)
        inputs, targets = torch.ones(2, 1, 2, 2), torch.tensor([0, 1])
        training = Training(epochs=4, learning_rate=0.1, drop_at=0.75, drop=0.01, restart=restart)
        steps: list[torch.Tensor] = [next(network.parameters()).detach().clone()]

        def watch(*_: object) -> None:
            steps.append(next(network.parameters()).detach().clone())

        fit(
            network,
            lambda i: dd.Batch(inputs[i] * torch.tensor([1.0, 2.0])[i].view(-1, 1, 1, 1), targets[i]),
            2,
            training,
            generator=torch.Generator(),
            watch=watch,
        )
        return float((steps[-1] - steps[-2]).norm() / (steps[-2] - steps[-3]).norm())

    # Velocity is multiplied by the new rate either way. Only without a restart is the old velocity
    # in it.
    assert last_step(restart=False) > 1.5 * last_step(restart=True)


def test_adam_is_torchs() -> None:
    training = Training(epochs=3, optimiser="adam", learning_rate=0.01, drop_at=1.0)
    inputs, targets = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1])
    ours, theirs = (MLP(width=3).build((1, 2, 2), 2, seed=0) for _ in range(2))
    fit(ours, lambda i: dd.Batch(inputs[i], targets[i]), 4, training, generator=torch.Generator())
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(3):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(theirs(inputs), targets).backward()
        adam.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_bad_schedules_are_refused() -> None:
    for settings in ({"drop_at": (0.5, 2.0)}, {"warmup": -1}, {"cosine": 2.0}, {"updates": {1: 0}}):
        with pytest.raises(SettingsError):
            Training(**settings)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="adam"):
        Training(optimiser="lion")


def test_mixed_batches_go_through_all_examples_before_one_comes_again() -> None:
    members = {0: torch.arange(0, 3), 5: torch.arange(3, 10)}
    batches = mixed_batches(members, 5, 4, torch.Generator().manual_seed(0))
    assert [len(b) for b in batches] == [4, 4, 2, 4, 4]
    assert sorted(torch.cat(batches[:3]).tolist()) == list(range(10))
    assert len(set(torch.cat(batches[3:]).tolist())) == 8
