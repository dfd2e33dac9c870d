from __future__ import annotations

import sys

import pytest
import torch
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError
from ddcore.images import SiameseAugmentation
from ddcore.networks import MLP
from ddcore.parts import LOSSES, Augmentation, Network, NoAugmentation, Recipe, taken
from ddcore.training import Training, fit


def data(n: int = 12) -> dd.Batch:
    random = torch.Generator().manual_seed(0)
    return dd.Batch(torch.randn(n, 1, 4, 4, generator=random, dtype=torch.float64), torch.arange(n) % 3)


def network() -> Network:
    return MLP(width=5, depth=1).build((1, 4, 4), 3, seed=0, dtype=torch.float64)


def trained(training: Training, recipe: Recipe | None = None, batch: dd.Batch | None = None) -> list[torch.Tensor]:
    batch, net = batch or data(), network()

    def pick(i: torch.Tensor) -> dd.Batch:
        return dd.Batch(batch.inputs[i], batch.targets[i], None if batch.weights is None else batch.weights[i])

    fit(net, pick, len(batch.inputs), training, generator=torch.Generator().manual_seed(1), recipe=recipe)
    return [p.detach() for p in net.parameters()]


def by_hand(training: Training, batch: dd.Batch, targets: torch.Tensor, weights: torch.Tensor) -> list[torch.Tensor]:
    """Full-batch SGD with momentum and decay, written out; the momentum restarts at the drop."""
    net = network()
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    for epoch in range(training.epochs):
        rate = training.learning_rate
        if epoch >= int(training.epochs * training.drop_at):
            rate *= training.drop
            if epoch == int(training.epochs * training.drop_at):
                velocity = [torch.zeros_like(p) for p in net.parameters()]
        log_p = net(batch.inputs).log_softmax(dim=1)
        loss = -(log_p * targets).sum(dim=1) @ weights
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for p, g, i in zip(net.parameters(), gradients, range(len(velocity)), strict=True):
                velocity[i] = training.momentum * velocity[i] + g + training.weight_decay * p
                p -= rate * velocity[i]
    return [p.detach() for p in net.parameters()]


def close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.allclose(x, y, atol=1e-12) for x, y in zip(a, b, strict=True))


def test_training_equals_sgd_written_out() -> None:
    training = Training(epochs=9, learning_rate=0.1, weight_decay=0.01)
    one_hot = F.one_hot(data().targets, 3).double()
    assert close(trained(training), by_hand(training, data(), one_hot, torch.full((12,), 1 / 12, dtype=torch.float64)))


def test_soft_labels_and_weights_enter_the_loss() -> None:
    training = Training(epochs=4, learning_rate=0.1)
    soft = torch.rand(12, 3, dtype=torch.float64).softmax(dim=1)
    weights = torch.arange(1.0, 13.0, dtype=torch.float64)
    got = trained(training, batch=dd.Batch(data().inputs, soft, weights))
    assert close(got, by_hand(training, data(), soft, weights / weights.sum()))


def test_a_recipes_learning_rate_replaces_the_protocols() -> None:
    assert close(
        trained(Training(epochs=3, learning_rate=0.01), Recipe(learning_rate=0.2)),
        trained(Training(epochs=3, learning_rate=0.2)),
    )
    assert Recipe(learning_rate=0.2).stored_bytes == 4 and Recipe().stored_bytes == 0


def test_squared_error_regresses_the_targets() -> None:
    logits, targets = torch.randn(4, 3), torch.randn(4, 3)
    assert torch.allclose(LOSSES["squared_error"](logits, targets), 0.5 * ((logits - targets) ** 2).sum(1))
    ids = torch.tensor([0, 2, 1, 1])
    assert torch.allclose(
        LOSSES["squared_error"](logits, ids), LOSSES["squared_error"](logits, F.one_hot(ids, 3).float())
    )
    a = trained(Training(epochs=3), Recipe(loss="squared_error"))
    assert not close(a, trained(Training(epochs=3)))


def test_every_example_is_seen_once_per_epoch() -> None:
    seen: list[int] = []
    batch = data()
    fit(
        network(),
        lambda i: dd.Batch(batch.inputs[i], batch.targets[i]),
        12,
        Training(epochs=3, batch_size=5),
        generator=torch.Generator().manual_seed(0),
        watch=lambda indices, _batch, logits: seen.extend(indices.tolist()),
    )
    for epoch in range(3):
        assert sorted(seen[12 * epoch : 12 * epoch + 12]) == list(range(12))
    assert seen[:12] != seen[12:24]


def test_bad_settings_are_refused() -> None:
    for call, error in (
        (lambda: Training(epochs=0), SettingsError),
        (lambda: Training(learning_rate=-1.0), SettingsError),
        (lambda: Training(drop_at=2.0), SettingsError),
        (lambda: Recipe(loss="hinge"), UnknownNameError),
        (lambda: Recipe(learning_rate=0.0), SettingsError),
    ):
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("augmentation", [NoAugmentation(), SiameseAugmentation()])
def test_micro_batches_of_a_step_add_up_to_the_step(
    monkeypatch: pytest.MonkeyPatch, augmentation: Augmentation
) -> None:
    training = Training(epochs=3, learning_rate=0.1, augmentation=augmentation)
    images = torch.randn(12, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batch = dd.Batch(images, torch.arange(12) % 3, torch.arange(1.0, 13.0, dtype=torch.float64))
    ends = []
    for at_once in (5, 1000):
        monkeypatch.setattr(
            sys.modules["ddcore.training.fit"], "fitting_micro_batch", lambda *_, at_once=at_once, **__: at_once
        )
        network = dd.images.ConvNet(width=3, depth=1).build((1, 4, 4), 3, seed=0, dtype=torch.float64)
        fit(network, lambda i: taken(batch, i), 12, training, generator=torch.Generator().manual_seed(1))
        ends.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.allclose(*ends, atol=1e-10)
