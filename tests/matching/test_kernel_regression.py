"""Kernel regression as a matching, against regression written out.

Also evaluation by it, and what does not fit.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import ddcore as dd
from ddcore.errors import DivergenceError, SettingsError, UnsupportedError
from ddcore.images import ConvNet, Pixels
from ddcore.kernels import AnalyticKernel, FeatureKernel, centred
from ddcore.matching import KernelRegression
from ddcore.parts import NoNetworks
from ddcore.sources import FreshNetworks
from tests.running import started


def gradients(run: dd.Run, matching: KernelRegression) -> tuple[float, list[torch.Tensor]]:
    state = matching.start(run)
    parameters = [p for group in (*run.examples.groups().values(), *state.groups().values()) for p in group]
    (term,) = matching.terms(run, state)
    return float(term.loss.detach()), list(torch.autograd.grad(term.loss, parameters))


@pytest.mark.parametrize("loss", ["squared", "platt"])
def test_its_loss_and_gradients_are_those_of_regression_written_out(few_digits: dd.TargetData, loss: str) -> None:
    networks = FreshNetworks(ConvNet(width=3, norm="none"), count=2)
    run = started(few_digits, factorization=Pixels(ipc=2, labels="soft", label_init="scaled"), networks=networks)
    matching = KernelRegression(
        FeatureKernel(scale=2.0, constant=0.01, per_feature=True),
        ridge=5e-3,
        real_batch=7,
        loss=loss,
        label_margin=loss == "squared",
    )
    value, found = gradients(run, matching)
    (images,), (labels,) = run.examples.groups()["images"], run.examples.groups()["labels"]
    real = run.real.batch([0, 1, 7], 7, "real")
    phi, psi = (torch.cat([n.features(x) for n in run.networks.current()], dim=1) for x in (images, real.inputs))
    k_ss, k_ts = (2 * x @ phi.T / phi.shape[1] + 0.01 for x in (phi, psi))
    predicted = k_ts @ torch.linalg.inv(k_ss + 5e-3 * k_ss.trace() / 6 * torch.eye(6, dtype=torch.float64)) @ labels
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    if loss == "platt":
        wanted = F.cross_entropy(scale.exp() * predicted, real.targets)
    else:
        one_hot = F.one_hot(real.targets, 10).double() - 0.1
        top = labels.sort(dim=1, descending=True).values
        wanted = 0.5 * (predicted - one_hot).square().mean() - (top[:, 0] - top[:, 1]).clamp_max(0.1).mean()
    assert value == pytest.approx(float(wanted.detach()), rel=1e-9)
    leaves = [images, labels, scale] if loss == "platt" else [images, labels]
    for f, w in zip(found, torch.autograd.grad(wanted, leaves), strict=True):
        torch.testing.assert_close(f, w, rtol=1e-7, atol=1e-10)


def test_the_pieces_of_the_real_side_do_not_matter(few_digits: dd.TargetData) -> None:
    results = []
    for micro_batch in (4, 100):
        run = started(few_digits, factorization=Pixels(ipc=2), networks=NoNetworks(), micro_batch=micro_batch)
        results.append(gradients(run, KernelRegression(AnalyticKernel("ntk", "conv", 2), real_batch=9)))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-9, atol=1e-13)


def test_images_stand_beside_their_mirror_images_where_these_keep_their_class(few_digits: dd.TargetData) -> None:
    mirrored = KernelRegression(real_batch=5, mirrored=True, ridge=1e-3)
    train = few_digits.train
    target = dd.load_data({"x_train": train.inputs, "y_train": train.targets}, mirror=True, num_classes=10)
    run = started(target, factorization=Pixels(ipc=1), networks=NoNetworks())
    value, (found,) = gradients(run, mirrored)
    (images,) = run.examples.groups()["images"]
    from_right_to_left = images[:, :, :, [7, 6, 5, 4, 3, 2, 1, 0]]
    support, labels = torch.cat([images, from_right_to_left]), centred(torch.tensor([0, 1, 7, 0, 1, 7]), 10)
    real = run.real.batch([0, 1, 7], 5, "real")
    gram = AnalyticKernel().product(support, support)
    ridge = 1e-3 * gram.trace() / 6 * torch.eye(6, dtype=torch.float64)
    predicted = AnalyticKernel().product(real.inputs, support) @ torch.linalg.solve(gram + ridge, labels)
    wanted = 0.5 * (predicted - centred(real.targets, 10)).square().mean()
    assert value == pytest.approx(float(wanted.detach()), rel=1e-9)
    torch.testing.assert_close(found, torch.autograd.grad(wanted, images)[0], rtol=1e-7, atol=1e-12)
    plain = KernelRegression(real_batch=5, ridge=1e-3)
    assert abs(gradients(run, plain)[0] - value) > 1e-3 * value
    digits = started(few_digits, factorization=Pixels(ipc=1), networks=NoNetworks())
    assert gradients(digits, plain)[0] == gradients(digits, mirrored)[0]


def test_a_learned_transform_is_folded_into_what_is_stored(few_digits: dd.TargetData) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=1, transform=True, labels="soft", label_init="centred"),
        matching=KernelRegression(real_batch=10),
        networks=NoNetworks(),
        optimiser=dd.Optimiser("adam", learning_rate=0.01),
        steps=5,
        precision="fp64",
    )
    kept = []
    summary = dd.distill(few_digits, method, callbacks=[lambda p: kept.append(p.snapshot())])
    assert set(summary.parts[0].stored) == {"images", "classes", "labels"}
    run = started(few_digits, factorization=method.factorization, networks=NoNetworks())
    with torch.no_grad():
        run.examples.transform.mul_(2.0)  # type: ignore[union-attr]
    torch.testing.assert_close(run.examples.stored()["images"], run.examples.decode().inputs.detach().float())
    torch.testing.assert_close(run.examples.decode(torch.tensor([1])).inputs, 2 * run.examples.images[[1]])  # type: ignore[index]
    assert [s.sha256() for s in kept][-1] == summary.sha256() != kept[0].sha256()


def test_kernel_evaluation_is_a_report_of_its_own(few_digits: dd.TargetData) -> None:
    summary = dd.distill(few_digits, dd.methods.kip(ipc=2, preset="cpu"), steps=3)
    report = dd.evaluate_kernel(summary, few_digits, kernels=["ntk", "nngp(layers=conv,depth=2)"])
    assert report.protocol == "krr"
    assert [r.network for r in report.results] == ["ntk, infinite width", "nngp(layers=conv,depth=2), infinite width"]
    inputs, targets = summary.tensors(dtype=torch.float64)
    kernel = AnalyticKernel()
    labels = F.one_hot(targets, 10).double() - 0.1
    gram = kernel.product(inputs, inputs)
    dual = torch.linalg.solve(gram + 1e-6 * gram.trace() / 6 * torch.eye(6, dtype=torch.float64), labels)
    assert few_digits.test is not None
    test = few_digits.spec.normalisation.apply(few_digits.test.inputs, torch.float64)
    right = (kernel.product(test, inputs) @ dual).argmax(dim=1) == few_digits.test.targets
    assert report.results[0].mean == pytest.approx(100 * float(right.double().mean()))
    assert report.results[0].mean > 80


def test_singular_kernels_end_the_run_with_the_last_good_state(few_digits: dd.TargetData) -> None:
    method = dd.Method(
        factorization=Pixels(ipc=2, init="noise"),
        matching=KernelRegression(FeatureKernel(), ridge=0.0, real_batch=5),
        networks=FreshNetworks(ConvNet(width=1, depth=3)),
        steps=3,
    )
    with pytest.raises(DivergenceError, match="singular at ridge 0") as caught:
        dd.distill(few_digits, method)
    assert len(caught.value.summary) == 6


def test_networks_and_kernels_must_fit() -> None:
    with pytest.raises(UnsupportedError, match="NoNetworks"):
        dd.Method(dd.images.Pixels(), matching=KernelRegression(AnalyticKernel()), networks=FreshNetworks(), steps=1)
    with pytest.raises(UnsupportedError, match="needs networks"):
        dd.Method(dd.images.Pixels(), matching=KernelRegression(FeatureKernel()), networks=NoNetworks(), steps=1)
    with pytest.raises(SettingsError, match="ridge"):
        KernelRegression(ridge=float("inf"))
    with pytest.raises(UnsupportedError, match="without networks"):
        dd.methods.kip(ipc=1, preset="paper").on_networks("convnet")
