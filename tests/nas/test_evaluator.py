"""The evaluator: against `evaluate`, inside NNI, and on candidates that fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import nn

import ddcore as dd
from ddapps.nas import ProxyEvaluator, reporting
from ddapps.nas.nni_package import require_nni
from ddcore.errors import CandidateError, DistillationError, InputDataError, SettingsError, UnknownNameError
from ddcore.evaluation import TrainingSource, predict, train_one
from ddcore.images import ConvNet
from tests.nas.conftest import SHORT, Tiny

NETWORK = ConvNet(width=4, depth=1)


def test_the_score_is_the_accuracy_of_the_protocol(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    evaluator = ProxyEvaluator(summary, digits, SHORT, runs=2, seed=3)
    report = dd.evaluate(summary, digits, networks=NETWORK, protocol=SHORT, runs=2, seed=3, split="validation")
    assert evaluator(NETWORK) == pytest.approx(report.results[0].mean, abs=1e-9)
    on_all = ProxyEvaluator(digits, digits, SHORT, split="test", seed=3)(NETWORK)
    full = dd.evaluate(digits, digits, networks=NETWORK, protocol=SHORT, runs=1, seed=3)
    assert on_all == pytest.approx(full.results[0].mean, abs=1e-9)


def test_several_proxies_are_averaged(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    other = dd.distill(digits, dd.methods.random(ipc=4), seed=1)
    both = ProxyEvaluator([summary, other], digits, SHORT)
    assert both(NETWORK) == fmean(ProxyEvaluator(one, digits, SHORT)(NETWORK) for one in (summary, other))


def test_losses_and_the_curve_are_what_they_say(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    measured = ProxyEvaluator(summary, digits, SHORT, score="area").measure(NETWORK)[0]
    source = TrainingSource.of(summary, torch.device("cpu"), torch.float32)
    assert digits.validation is not None
    losses, accuracies = [], []

    def watch(network: dd.networks.Network) -> Any:
        def after_update(indices: torch.Tensor, batch: dd.Batch, logits: torch.Tensor) -> None:
            losses.append(float(nn.functional.cross_entropy(logits, batch.targets)))
            accuracies.append(accuracy(network))
            network.train()

        return after_update

    def accuracy(network: dd.networks.Network) -> float:
        logits = predict(network, digits.validation, digits.spec, torch.device("cpu"))
        return 100 * float((logits.argmax(dim=1) == digits.validation.targets).double().mean())

    network = train_one(NETWORK, source, SHORT.training, digits.spec, seed=0, run=0, watch=watch)
    # 40 examples, batches of 20, 3 epochs: 6 updates, whose quarters end after 1, 3 and 4.
    assert len(losses) == 6
    assert measured.training_loss == pytest.approx(fmean(losses), rel=1e-6)
    assert measured.accuracy == accuracy(network) == accuracies[-1]
    assert measured.area == pytest.approx(fmean([accuracies[0], accuracies[2], accuracies[3], accuracies[5]]))
    logits = predict(network, digits.validation, digits.spec, torch.device("cpu"))
    assert measured.loss == pytest.approx(
        float(nn.functional.cross_entropy(logits, digits.validation.targets)), rel=1e-5
    )
    for score, value in {
        "loss": -measured.loss,
        "area": measured.area,
        "training-loss": -measured.training_loss,
    }.items():
        assert ProxyEvaluator(summary, digits, SHORT, score=score)(NETWORK) == pytest.approx(value, rel=1e-6)


class Crashing(nn.Module):
    """Gets through its construction alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > 1:
            raise RuntimeError("out of luck")
        return self.head(images.flatten(1))


def test_candidates_that_fail_say_why(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    evaluator = ProxyEvaluator(summary, digits, SHORT)
    with pytest.raises(CandidateError, match="RuntimeError: out of luck"):
        evaluator(Crashing)
    with pytest.raises(CandidateError, match="cannot be halved 9 times"):
        evaluator(ConvNet(width=4, depth=9))
    wild = replace(SHORT, training=replace(SHORT.training, learning_rate=1e30))
    with pytest.raises(CandidateError, match="diverged"):
        ProxyEvaluator(summary, digits, wild)(NETWORK)


def test_what_cannot_be_evaluated(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    with pytest.raises(UnknownNameError, match="unknown score 'speed'"):
        ProxyEvaluator(summary, digits, score="speed")
    with pytest.raises(SettingsError, match="proxy is empty"):
        ProxyEvaluator([], digits)
    with pytest.raises(SettingsError, match="not a str"):
        ProxyEvaluator("dm", digits)  # type: ignore[arg-type]
    with pytest.raises(InputDataError, match="has no validation split"):
        ProxyEvaluator(summary, replace(digits, validation=None))
    with pytest.raises(InputDataError, match="classes"):
        ProxyEvaluator(summary, replace(digits, spec=replace(digits.spec, num_classes=12, class_names=())))


def test_inside_an_nni_experiment(
    digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_nni()
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.experiment import NasExperiment
    from nni.nas.experiment.config import NasExperimentConfig
    from nni.nas.strategy import Random
    from nni.runtime.log import _handlers

    monkeypatch.setenv("HOME", str(tmp_path))
    evaluator, space = ProxyEvaluator(summary, digits, SHORT), Tiny()
    config = NasExperimentConfig(execution_engine="sequential", model_format="simplified", max_trial_number=3)
    config.experiment_working_directory = tmp_path
    config.trial_code_directory = Path.cwd()
    asked = FunctionalEvaluator(reporting(evaluator))
    experiment = NasExperiment(space.model_space((1, 8, 8), 10), asked, Random(seed=0), config)
    experiment.run()
    best = experiment.export_top_models(1, formatter="dict")[0]
    scores = [model.metric for model in experiment.strategy.list_models(sort=False)]
    left_open = list(_handlers.values())
    experiment.stop()
    for handler in left_open:
        handler.close()
    ours = {
        candidate.label: evaluator(candidate.space.model_space((1, 8, 8), 10).freeze(candidate.choices))
        for candidate in space.sample(space.size)
    }
    assert (
        len(scores) == 3
        and max(scores) == ours[space.candidate(dict(best)).label]
        and set(scores) <= set(ours.values())
    )


def test_inside_a_trial_of_nni(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    require_nni()
    import nni
    from nni.runtime import trial_command_channel as channels

    choices, told = {"width": 8, "norm": "none", "pooling": "max"}, []

    class Manager(channels.TrialCommandChannel):  # type: ignore[misc]
        """What a trial talks to."""

        def receive_parameter(self) -> dict[str, Any]:
            return {"parameter_id": 0, "parameters": choices}

        def send_metric(self, type: str, parameter_id: int, trial_job_id: str, sequence: int, value: float) -> None:
            told.append((type, value))

    before = channels.get_default_trial_command_channel()
    channels.set_default_trial_command_channel(Manager())
    try:
        evaluator, space = ProxyEvaluator(summary, digits, SHORT), Tiny()
        score = reporting(evaluator)(space.candidate(nni.get_next_parameter()))
    finally:
        channels.set_default_trial_command_channel(before)
    assert told == [("FINAL", score)] and score == evaluator(space.candidate(choices))


def test_settings_are_not_a_candidates_fault(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    with pytest.raises(UnknownNameError, match="unknown protocol"):
        ProxyEvaluator(summary, digits, "dcc")
    with pytest.raises(DistillationError):
        ProxyEvaluator(summary, digits, SHORT, device="cuda:77")
    with pytest.raises(OSError, match="disk"):
        ProxyEvaluator(summary, digits, SHORT)(_on_a_bad_disk)


def _on_a_bad_disk() -> nn.Module:
    raise OSError("disk")
