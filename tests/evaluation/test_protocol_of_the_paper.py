"""A preset also says how its data is normalised, and how its summaries are evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ddcore as dd
from ddapps.cli.main import main
from ddcore.errors import UnsupportedError
from ddcore.methods import build_method


@pytest.fixture(scope="module")
def cifar_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is called like CIFAR-10, of small random pictures."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "cifar10.npz"
    arrays = {f"x_{split}": random.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8) for split in ("train", "test")}
    np.savez(path, **arrays, **{f"y_{split}": np.arange(40) % 2 for split in ("train", "test")})
    return path


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["--method", "linba_no_factorization", "--preset", "paper"], "zca-unit"),
        (["--method", "frepo", "--preset", "paper"], "zca-standard"),
        (["--method", "frepo", "--preset", "cpu"], "standard"),
        (["--method", "dm", "--preset", "paper"], "standard"),
        (["--method", "frepo", "--preset", "paper", "--normalisation", "zca"], "zca"),
    ],
)
def test_the_command_line_whitens_as_the_preset_does(
    cifar_like: Path, tmp_path: Path, words: list[str], kind: str
) -> None:
    assert (
        main(["distill", str(cifar_like), *words, "--ipc", "1", "--steps", "1", "--quiet", "--out", str(tmp_path)]) == 0
    )
    found = dd.DataSummary.load(tmp_path).spec.normalisation
    assert found.same_as(dd.load_data(cifar_like, normalisation=kind).spec.normalisation)


def test_a_summary_is_evaluated_by_its_own_protocol(few_digits: dd.TargetData) -> None:
    target = few_digits
    target = dd.TargetData("few", target.spec, target.train, test=target.train)
    summary = dd.distill(target, build_method("linba_no_factorization", ipc=1, preset="cpu"), steps=0)
    report = dd.evaluate(summary, target, protocol="paper", networks="mlp(width=8)", runs=1)
    assert report.protocol == "linba"
    assert report.details["training"]["weight_decay"] == 0.0
    assert report.details["training"]["batch_size"] == 640


def test_a_protocol_may_bring_its_network(few_digits: dd.TargetData) -> None:
    target = dd.TargetData("few", few_digits.spec, few_digits.train, test=few_digits.train)
    protocol = dd.evaluation.Protocol(
        "own", dd.evaluation.PROTOCOLS["quick"].with_epochs(1).training, dd.networks.MLP(width=8)
    )
    summary = dd.distill(target, dd.Method(dd.images.Pixels()))
    networks = [
        dd.evaluate(summary, target, protocol=protocol, networks=n, runs=1).results[0].network
        for n in (None, "mlp(width=4)")
    ]
    assert networks == ["mlp(width=8)", "mlp(width=4)"]


def test_what_has_no_protocol_of_its_own_says_what_to_do(few_digits: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match="choose one of dc"):
        dd.evaluate(dd.distill(few_digits, dd.Method(dd.images.Pixels())), few_digits, protocol="paper")
    with pytest.raises(UnsupportedError, match="choose one of dc"):
        dd.evaluate(few_digits, few_digits, protocol="paper")
    kip = dd.distill(few_digits, build_method("kip", ipc=1, preset="cpu"), steps=0)
    with pytest.raises(UnsupportedError, match="krr"):
        dd.evaluate(kip, few_digits, protocol="paper")
