from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import Pyramid
from ddcore.images.factorizations.pyramid import PyramidExamples, level_sides
from ddcore.matching import GradientMatching
from ddcore.networks import LinearProbe
from ddcore.sources import FreshHeads
from tests.engine.test_resume import goes_on
from tests.running import started

HEADS = GradientMatching(distance="vector_cosine", layers="head", groups="joint", real_batch=1000)


def backbone() -> nn.Module:
    """Return a small trained-looking module, with dropout and a BatchNorm of its own statistics."""
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
    norm.running_mean = torch.randn(3)
    return nn.Sequential(convolution, norm, nn.ReLU(), nn.Dropout(0.5), nn.AvgPool2d(2))


def softmax_gradient(features: Tensor, targets: Tensor, classes: int, weight: Tensor) -> Tensor:
    """Return the gradient of softmax regression at biases of 0: means of (p - y) f^T and p - y."""
    apart = (features @ weight.T).softmax(dim=1) - nn.functional.one_hot(targets, classes)
    return torch.cat([(apart.T @ features).flatten(), apart.sum(dim=0)]) / len(features)


def test_the_loss_is_the_cosine_of_softmax_regressions_gradients(few_digits: dd.TargetData) -> None:
    body = backbone()
    run = started(few_digits, networks=FreshHeads(LinearProbe(body)), micro_batch=500)
    (network,) = run.networks.current()
    weight = dict(network.module.named_parameters())["2.weight"]
    assert float(weight.std()) == pytest.approx(0.01, rel=0.2)
    real = few_digits.train
    synthetic = run.examples.decode()
    gradients = []
    for inputs, targets in (
        (few_digits.spec.normalisation.apply(real.inputs, torch.float64), real.targets),
        (synthetic.inputs.detach(), synthetic.targets),
    ):
        features = body.double().eval()(inputs).flatten(1).detach()
        gradients.append(softmax_gradient(features, targets, 10, weight))
    expected = 1 - torch.cosine_similarity(*gradients, dim=0)
    (term,) = HEADS.terms(run, HEADS.start(run))
    assert float(term.loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    run.networks.advance()
    (after,) = HEADS.terms(run, HEADS.start(run))
    assert float(after.loss.detach()) != float(term.loss.detach())


def test_a_body_is_a_constant_of_its_probe() -> None:
    body = backbone().train()
    probe = LinearProbe(body).build((1, 8, 8), 10, seed=0)
    assert [name for name, _ in probe.module.named_parameters()] == ["2.weight", "2.bias"]
    assert set(probe.module.state_dict()) == {"2.weight", "2.bias"}
    inputs = torch.randn(4, 1, 8, 8)
    probe.train()
    before = probe.features(inputs)
    with probe.trained() as weights:
        torch.optim.SGD(weights, lr=1.0).zero_grad()
        probe(inputs).square().sum().backward()
        torch.optim.SGD(weights, lr=1.0).step()
    assert torch.equal(probe.features(inputs), before) and torch.equal(before, body.eval()(inputs).flatten(1))
    assert all(w.grad is None for w in body.parameters()) and body.get_submodule("1").weight.requires_grad
    assert LinearProbe(body).describe() != LinearProbe(backbone().requires_grad_(False).double()).describe()


def test_a_probe_without_a_fitting_body_is_refused(few_digits: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match=r"LinearProbe\(module\)"):
        dd.distill(few_digits, dd.methods.linear_gradient_matching(preset="cpu"))
    with pytest.raises(UnsupportedError, match="cannot take"):
        LinearProbe(nn.Linear(3, 3)).module((1, 8, 8), 10)
    with pytest.raises(UnsupportedError, match="row of features"):
        LinearProbe(nn.Flatten(0)).module((1, 8, 8), 10)


def test_levels_join_along_the_schedule(few_digits: dd.TargetData) -> None:
    run = started(few_digits, factorization=Pyramid(ipc=2, every=3))
    examples = run.examples
    assert isinstance(examples, PyramidExamples)
    assert level_sides(few_digits.spec) == [(1, 1), (2, 2), (4, 4), (8, 8)]
    before = [level.detach().clone() for level in examples.levels]
    present = []
    for step in range(12):
        examples.after_step(step)
        present.append(examples.present)
        scaled = [level / examples.present for level in before[: examples.present]]
        for level, wanted in zip(examples.levels, scaled, strict=False):
            assert torch.allclose(level, wanted, atol=1e-12)
    assert present == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    sizes = [nn.functional.interpolate(level, (8, 8), mode="bilinear") for level in examples.levels]
    pixels = few_digits.spec.normalisation.invert(examples.decode().inputs)
    assert torch.allclose(pixels, torch.sigmoid(2 * sum(sizes)), atol=1e-12)  # type: ignore[arg-type]


def test_a_coarse_pyramid_shows_one_colour() -> None:
    colours = dd.images.ImageSpec(shape=(3, 6, 5), num_classes=2, classes=(0, 1))
    assert level_sides(colours) == [(1, 1), (2, 2), (4, 4), (6, 5)]
    level = torch.zeros(2, 3, 1, 1)
    level[0, 0] = 1.0
    shown = PyramidExamples(Pyramid(ipc=1), [level], torch.tensor([0, 1]), colours).decode().inputs
    longest = (0.26**2 + 0.27**2 + 0.27**2) ** 0.5
    wanted = torch.tensor([0.26, 0.27, 0.27]).div(longest).mul(2).sigmoid()
    assert torch.allclose(shown[0], wanted.view(3, 1, 1).expand(3, 6, 5))
    plain = PyramidExamples(Pyramid(ipc=1, decorrelated=False), [level], torch.tensor([0, 1]), colours)
    assert torch.allclose(plain.decode().inputs[0, 1], torch.tensor(0.5))


def test_what_is_stored_are_pixels(few_digits: dd.TargetData, tmp_path: Path) -> None:
    method = dd.Method(
        factorization=Pyramid(ipc=2, every=1, storage="uint8"),
        matching=GradientMatching(distance="vector_cosine", layers="head", groups="joint", real_batch=10),
        networks=FreshHeads(LinearProbe(backbone())),
        optimiser=dd.Optimiser("adam", learning_rate=0.05),
        steps=5,
    )
    summary = dd.distill(few_digits, method)
    assert summary.stored_bytes == 3 * 2 * (64 + 1)
    summary.save(tmp_path / "summary")
    again = dd.DataSummary.load(tmp_path / "summary")
    assert torch.equal(again.tensors()[0], summary.tensors()[0])


def test_a_resumed_run_equals_a_whole_one(few_digits: dd.TargetData, tmp_path: Path) -> None:
    method = dd.methods.linear_gradient_matching(ipc=1, preset="cpu", backbone=backbone()).with_steps(5)
    goes_on(few_digits, tmp_path, dd.override(method, "factorization.every", 1))


def test_bad_settings_are_refused() -> None:
    for bad in ({"init": "random"}, {"labels": "soft"}, {"clip": False}, {"every": 0}):
        with pytest.raises(SettingsError):
            Pyramid(**bad)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="std"):
        FreshHeads(std=0.0)
