"""Private distillation from end to end."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from opacus.accountants import RDPAccountant

import ddcore as dd
from ddapps import privacy
from ddapps.privacy import NO_LEDGER, Certificate, RepeatableEntropy, ledger_of, privatize, verify
from ddapps.privacy.baselines import mean_features
from ddapps.privacy.mechanism import NoisySum
from ddapps.privacy.privatize import CHECKPOINT, private_folder
from ddcore.errors import (
    BudgetError,
    CheckpointError,
    DistillationWarning,
    InputDataError,
    LedgerError,
    OutputExistsError,
    SettingsError,
    UnknownNameError,
    UnsupportedError,
)
from ddcore.labels import TeacherLabelling
from ddcore.parts import Gradients
from ddcore.sources import FixedNetworks, NetworkPool
from tests.running import OF_IMAGES, shrunk, untrained_teacher

BUDGET: dict[str, Any] = {"epsilon": 5.0, "delta": 1e-3}
PRIVATE = (
    "dc",
    "dsa",
    "dcc",
    "psg",
    "dm",
    "dd",
    "linba_no_factorization",
    "linba",
    "kfs",
    "gtn",
    "linear_gradient_matching",
)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_method_is_private_or_refused_with_the_reason(private_digits: dd.TargetData, name: str) -> None:
    method = shrunk(name)
    if name not in PRIVATE:
        with pytest.raises(UnsupportedError, match=r"real examples|raw examples"):
            privatize(method, **BUDGET)
        return
    private = privatize(method, **BUDGET, accountant="rdp")
    assert bool(private.changes) == (name not in ("dc", "psg", "gtn", "linear_gradient_matching"))
    summary = private.distill(private_digits, seed=1, ledger=NO_LEDGER)
    certificate = Certificate.of(summary)
    assert certificate.steps == summary.record["steps"] == 3
    assert certificate.epsilon == privacy.epsilon_of(certificate.queries, 1e-3, "rdp") <= 5.0
    assert verify(summary).holds
    each = 2 if name != "kfs" else 4
    assert summary.counts == {0: each, 1: each, 7: each}


def test_a_given_backbone_stands_among_what_is_public(private_digits: dd.TargetData) -> None:
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5))
    method = dd.methods.linear_gradient_matching(ipc=1, preset="cpu", backbone=body).with_steps(1)
    public = privatize(method, **BUDGET).mechanism(private_digits).assumed_public
    assert any("weights of Sequential" in fact for fact in public)


def test_labels_by_a_teacher_are_no_part_of_a_private_method(private_digits: dd.TargetData) -> None:
    labels = TeacherLabelling("soft", (untrained_teacher(private_digits.spec),))
    with pytest.raises(UnsupportedError, match=r"the labelling asks for raw examples \(teacher\)"):
        privatize(replace(shrunk("dc"), labels=labels), **BUDGET)
    private = privatize(shrunk("dc"), **BUDGET)
    with pytest.raises(UnsupportedError, match="the labelling asks for raw examples"):
        replace(private, method=replace(private.method, labels=labels))


def test_the_seed_governs_public_randomness_alone(private_digits: dd.TargetData, small_psg: dd.Method) -> None:
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    first, second = (private.distill(private_digits, seed=3, ledger=NO_LEDGER) for _ in range(2))
    assert first.sha256() != second.sha256()
    starts = [dd.distill(private_digits, small_psg, seed=3, steps=0).sha256() for _ in range(2)]
    assert starts[0] == starts[1]
    repeated = [
        private.distill(private_digits, seed=3, entropy=RepeatableEntropy(9), ledger=NO_LEDGER) for _ in range(2)
    ]
    assert repeated[0].sha256() == repeated[1].sha256()
    found = verify(repeated[0])
    assert not found.holds
    assert "for tests" in found.problems[0]


def test_a_summary_tells_nothing_of_the_data_but_its_examples(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    privatize(small_psg, **BUDGET, accountant="rdp").distill(private_digits, out=tmp_path / "out")
    published = (tmp_path / "out" / "config.json").read_text() + (tmp_path / "out" / "README.md").read_text()
    assert private_digits.fingerprint() not in published
    assert "| differential privacy | epsilon 4.99" in published
    record = json.loads((tmp_path / "out" / "config.json").read_text())["record"]
    assert record["data_sha256"] is None
    assert record["seconds"] is None
    assert record["privacy"]["initialisation"] == "noise"
    loaded = dd.DataSummary.load(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "config.json",
        "summary.safetensors",
        "README.md",
        "examples.png",
    }
    assert stat.S_IMODE(private_folder(tmp_path / "out").stat().st_mode) == 0o700
    assert verify(loaded).holds
    assert verify(loaded.quantize("uint8")).holds
    assert not (private_folder(tmp_path / "out") / CHECKPOINT).exists()


class KilledError(Exception):
    """Stands for a kill."""


class KilledAt:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, progress: dd.Progress) -> None:
        if progress.step == self.step:
            raise KilledError


def test_an_interrupted_run_pays_for_what_it_asked_and_goes_on(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    private = privatize(small_psg.with_steps(6), **BUDGET, accountant="rdp")
    options: dict[str, Any] = {"out": tmp_path / "out", "seed": 0, "checkpoint_seconds": 0.0}
    with pytest.raises(KilledError):
        private.distill(private_digits, callbacks=[KilledAt(2)], **options)
    assert stat.S_IMODE((private_folder(tmp_path / "out") / CHECKPOINT).stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger_of(private_digits).stat().st_mode) == 0o600
    # killed before a checkpoint: two more steps are lost, and paid
    with pytest.raises(KilledError):
        private.distill(private_digits, callbacks=[KilledAt(3)], out=tmp_path / "out", seed=0, checkpoint_seconds=1e9)
    summary = private.distill(private_digits, **options)
    certificate = Certificate.of(summary)
    assert certificate.queries[-1][2] == certificate.steps == 6
    assert summary.record["steps"] < 6
    assert certificate.epsilon <= 5.0
    assert verify(summary).holds
    assert not (private_folder(tmp_path / "out") / CHECKPOINT).exists()
    # finished: nothing is asked again
    assert private.distill(private_digits, **options).sha256() == summary.sha256()
    with pytest.raises(OutputExistsError, match="another summary"):
        private.distill(private_digits, out=tmp_path / "out", seed=1)


def test_a_checkpoint_of_another_budget_is_not_gone_on_from(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    cheap, dear = (privatize(small_psg, epsilon=e, delta=1e-3, accountant="rdp") for e in (1.0, 40.0))
    options: dict[str, Any] = {"out": tmp_path / "out", "ledger": tmp_path / "ledger", "checkpoint_seconds": 0.0}
    with pytest.raises(KilledError):
        dear.distill(private_digits, callbacks=[KilledAt(2)], ledger_budget=(60.0, 1e-3), **options)
    with pytest.raises(CheckpointError, match="other privacy settings"):
        cheap.distill(private_digits, **options)


def test_the_claim_covers_a_run_that_ends_early(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    with pytest.raises(KilledError):
        private.distill(private_digits, out=tmp_path / "out", callbacks=[KilledAt(2)], checkpoint_seconds=1e9)
    shorter = private.distill(private_digits, out=tmp_path / "out")
    certificate = Certificate.of(shorter)
    assert (certificate.steps, shorter.record["steps"]) == (4, 2)
    assert certificate.epsilon == Certificate.of(private.distill(private_digits, ledger=NO_LEDGER)).epsilon
    assert verify(shorter).holds


def test_a_question_that_ran_out_of_memory_is_paid_and_asked_again(
    private_digits: dd.TargetData, small_psg: dd.Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second draw for the price of one would not be covered. The run ends a step earlier."""
    failures = [torch.OutOfMemoryError("CUDA out of memory. Tried"), None, None, None]
    original = NoisySum.release

    def release(self: NoisySum) -> tuple[torch.Tensor, ...]:
        failure = failures.pop(0)
        if failure is not None:
            raise failure
        return original(self)

    monkeypatch.setattr("ddcore.engine.back_off.may_run_out", lambda device: True)
    monkeypatch.setattr(NoisySum, "release", release)
    summary = privatize(small_psg, **BUDGET, accountant="rdp").distill(private_digits, ledger=NO_LEDGER)
    certificate = Certificate.of(summary)
    assert (certificate.steps, summary.record["steps"], failures) == (4, 3, [])
    assert summary.record["micro_batch"] is None
    assert verify(summary).holds


def test_nothing_that_the_clock_decides_is_published(private_digits: dd.TargetData, small_psg: dd.Method) -> None:
    with pytest.raises(TypeError, match="max_seconds"):
        privatize(small_psg, **BUDGET).distill(private_digits, max_seconds=1.0)  # type: ignore[call-arg]


def test_mean_features_finishes_and_takes_public_sizes(private_digits: dd.TargetData, tmp_path: Path) -> None:
    sizes = {0: 25, 1: 45, 7: 20}
    private = mean_features(private_digits, epsilon=2.0, delta=1e-3, ipc=1, features=20, steps=6, counts=sizes)
    options: dict[str, Any] = {"out": tmp_path / "out"}
    with pytest.raises(KilledError):
        private.distill(private_digits, callbacks=[KilledAt(3)], **options)
    summary = private.distill(private_digits, **options)
    assert (Certificate.of(summary).steps, summary.record["steps"]) == (1, 6)
    assert Certificate.of(summary).examples == 90
    assert verify(summary).holds
    assert not (private_folder(tmp_path / "out") / CHECKPOINT).exists()


def test_a_finished_result_is_not_mistaken_for_that_of_other_data_or_settings(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    first = private.distill(private_digits, out=tmp_path / "out", precision="fp64")
    assert private.distill(private_digits, out=tmp_path / "out", precision="fp64").sha256() == first.sha256()
    other = replace(private_digits, train=private_digits.train.take(torch.arange(80)))
    with pytest.raises(OutputExistsError, match="another summary"):
        private.distill(other, out=tmp_path / "out")
    with pytest.raises(OutputExistsError, match="another summary"):
        privatize(small_psg, **BUDGET, accountant="rdp", max_grad_norm=1.0).distill(
            private_digits, out=tmp_path / "out"
        )


def test_a_run_whose_answers_are_all_lost_says_so(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    private = privatize(small_psg.with_steps(2), **BUDGET, accountant="rdp")
    with pytest.raises(KilledError):
        private.distill(
            private_digits,
            out=tmp_path / "out",
            callbacks=[KilledAt(2)],
            checkpoint_seconds=1e9,
            ledger_budget=(15.0, 1e-3),
        )
    with pytest.raises(BudgetError, match="paid for all of its answers"):
        private.distill(private_digits, out=tmp_path / "out")
    assert verify(private.distill(private_digits, out=tmp_path / "out", overwrite=True)).holds


def test_spending_is_remembered_whatever_the_result_is_called(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    """Another folder, overwriting, another name or order of the records: one ledger."""
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    private.distill(private_digits, out=tmp_path / "a")
    turned = replace(private_digits, name="other", train=private_digits.train.take(torch.arange(89, -1, -1)))
    assert ledger_of(turned) == ledger_of(private_digits)
    attempts: list[tuple[dd.TargetData, dict[str, Any]]] = [
        (private_digits, {"out": tmp_path / "b", "seed": 1}),
        (private_digits, {"out": tmp_path / "a", "overwrite": True}),
        (private_digits, {}),
        (turned, {"out": tmp_path / "c"}),
    ]
    for target, words in attempts:
        with pytest.raises(BudgetError, match="would bring the dataset's total to epsilon"):
            private.distill(target, **words)
    assert dd.DataSummary.load(tmp_path / "a").record["steps"] == 4
    others = replace(private_digits, train=private_digits.train.take(torch.arange(80)))
    assert ledger_of(others) != ledger_of(private_digits)


def test_without_a_place_for_ledgers_nothing_is_asked(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DDAPPS_LEDGERS", str(tmp_path / "file" / "ledgers"))
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    with pytest.raises(LedgerError, match=r"nothing would remember what is spent: name a folder.*DDAPPS_LEDGERS"):
        private.distill(private_digits)
    certificate = Certificate.of(private.distill(private_digits, ledger=NO_LEDGER))
    assert "no ledger was kept" in certificate.assumed_public[-1]


def test_two_runs_cannot_spend_the_same_budget_at_once(private_digits: dd.TargetData, small_psg: dd.Method) -> None:
    private = privatize(small_psg, **BUDGET, accountant="rdp")

    def meanwhile(progress: dd.Progress) -> None:
        with pytest.raises(LedgerError, match="in use by another run"):
            private.distill(private_digits, seed=progress.step)

    private.distill(private_digits, callbacks=[meanwhile])


def test_a_ledger_stops_the_second_run(private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path) -> None:
    private, ledger = privatize(small_psg, **BUDGET, accountant="rdp"), tmp_path / "ledger.json"
    private.distill(private_digits, seed=0, out=tmp_path / "a", ledger=ledger, ledger_budget=(6.0, 1e-3))
    with pytest.raises(BudgetError, match="allows 6"):
        private.distill(private_digits, seed=1, out=tmp_path / "b", ledger=ledger)
    assert not (tmp_path / "b" / "config.json").exists()
    smaller = privatize(small_psg, epsilon=1.0, delta=1e-3, accountant="rdp")
    smaller.distill(private_digits, seed=1, out=tmp_path / "c", ledger=ledger)


def test_a_callers_accountant_is_told_and_what_it_knew_counts(
    private_digits: dd.TargetData, small_psg: dd.Method
) -> None:
    accountant = RDPAccountant()
    counts = privacy.release_counts(private_digits, 4.0, accountant)
    assert set(counts) == {0, 1, 7}
    assert all(n >= 1 for n in counts.values())
    summary = privatize(small_psg, **BUDGET, accountant=accountant, counts=counts).distill(private_digits)
    certificate = Certificate.of(summary)
    assert certificate.queries[0] == (4.0, 1.0, 1)
    assert sum(steps for _, _, steps in accountant.history) == 5
    assert certificate.epsilon == privacy.epsilon_of(certificate.queries, 1e-3, "rdp")
    assert certificate.epsilon == pytest.approx(accountant.get_epsilon(delta=1e-3))
    with pytest.raises(BudgetError, match=r"nothing is left|too little"):
        privatize(small_psg, epsilon=4.0, delta=1e-3, accountant=accountant).distill(private_digits)


def test_idc_is_private_on_networks_that_are_public(private_digits: dd.TargetData) -> None:
    idc = dd.methods.idc(ipc=2, preset="cpu", data="digits").with_steps(2)
    module = dd.images.ConvNet(width=4).build(private_digits.spec.shape, 10, seed=0).module
    private = privatize(idc.on_networks(FixedNetworks((module,))), **BUDGET, accountant="rdp")
    summary = private.distill(private_digits)
    assert verify(summary).holds
    assert any(text.startswith("weights of Sequential") for text in Certificate.of(summary).assumed_public)


def test_pools_that_train_on_synthetic_examples_are_private(
    private_digits: dd.TargetData, small_psg: dd.Method
) -> None:
    pool = NetworkPool(dd.images.ConvNet(width=4), size=2)
    assert verify(privatize(small_psg.on_networks(pool), **BUDGET, accountant="rdp").distill(private_digits)).holds


def test_answers_are_used_again_for_nothing(private_digits: dd.TargetData) -> None:
    method = dd.methods.psg(ipc=2, preset="cpu").on_networks("convnet(width=4)").with_steps(2)
    asked: list[int] = []

    class Counting(privacy.PrivateSignal):
        def gradients(self, *arguments: Any, **options: Any) -> Iterator[Gradients]:
            asked.append(1)
            return super().gradients(*arguments, **options)

    private = privatize(dd.override(method, "matching.updates_per_gradient", 3), **BUDGET, accountant="rdp")
    summary = replace(private, signal=Counting).distill(private_digits)
    assert len(asked) == Certificate.of(summary).steps == 2


def test_batch_norm_is_refused_before_anything_is_paid(
    private_digits: dd.TargetData, small_psg: dd.Method, tmp_path: Path
) -> None:
    method = small_psg.on_networks("convnet(width=4,norm=batch)")
    with pytest.raises(UnsupportedError, match="norm='instance'"):
        privatize(method, **BUDGET, accountant="rdp").distill(private_digits, out=tmp_path / "out")
    assert json.loads(ledger_of(private_digits).read_text())["runs"][0]["queries"][0][2] == 0


def test_a_private_start_is_refused_and_a_public_one_is_said(
    private_digits: dd.TargetData, small_psg: dd.Method
) -> None:
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    mine = private.distill(private_digits, ledger=NO_LEDGER)
    with pytest.raises(UnsupportedError, match="would add its loss"):
        private.distill(private_digits, start=mine)
    with pytest.raises(UnsupportedError, match="would add its loss"):
        private.distill(private_digits, start=dd.concat([mine]))
    with pytest.raises(UnsupportedError, match="private data itself"):
        private.distill(private_digits, start=dd.distill(private_digits, small_psg, steps=0))
    public = replace(mine, record={})
    again = private.distill(private_digits, start=public, ledger=NO_LEDGER)
    assert Certificate.of(again).initialisation.startswith("public summary")


def test_facts_that_were_read_from_the_data_are_refused(private_digits: dd.TargetData, small_psg: dd.Method) -> None:
    private = privatize(small_psg, **BUDGET, accountant="rdp")
    arrays = (private_digits.train.inputs, private_digits.train.targets)
    with pytest.warns(DistillationWarning, match="networks get 8 outputs"):
        undeclared = dd.load_data(arrays, normalisation=privacy.PUBLIC_NORMALISATION)
    with pytest.raises(InputDataError, match="the classes of"):
        private.distill(undeclared)
    with pytest.raises(InputDataError, match="fitted to its private examples"):
        private.distill(dd.load_data(arrays, num_classes=10, classes=[0, 1, 7]))
    with pytest.raises(InputDataError, match="the classes of"):
        private.distill(private_digits.with_train(torch.arange(60), "some"))
    with pytest.raises(
        InputDataError, match="the classes of"
    ):  # those found are not all: which ones are is read from the data
        private.distill(dd.load_data(arrays, num_classes=10, normalisation=privacy.PUBLIC_NORMALISATION))
    declared = dd.load_data(arrays, num_classes=10, classes=[0, 1, 7], normalisation=privacy.PUBLIC_NORMALISATION)
    assert verify(private.distill(declared)).holds


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"epsilon": 0}, SettingsError, "epsilon must be above 0"),
        ({"epsilon": float("nan")}, SettingsError, "epsilon must be above 0"),
        ({"delta": 0.0}, SettingsError, "delta must be above 0"),
        ({"delta": 1.5}, SettingsError, "at most 1"),
        ({"delta": 1.0}, SettingsError, "probability"),
        ({"epsilon": 1e4}, SettingsError, "at most 500"),
        ({"max_grad_norm": -1.0}, SettingsError, "max_grad_norm"),
        ({"max_grad_norm": 1e-44}, SettingsError, "max_grad_norm must lie in"),
        ({"max_grad_norm": 1e30}, SettingsError, "max_grad_norm must lie in"),
        ({"sample_rate": 2.0}, SettingsError, "sample_rate"),
        ({"accountant": "gdp"}, UnknownNameError, "choose one of prv, rdp"),
        ({"accountant": "exact"}, UnknownNameError, "accountant"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(
    small_psg: dd.Method, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        privatize(small_psg, **(BUDGET | changed))


def test_delta_must_lie_below_one_over_the_number_of_examples(
    private_digits: dd.TargetData, small_psg: dd.Method
) -> None:
    with pytest.raises(SettingsError, match="below 1 / 90 examples"):
        privatize(small_psg, epsilon=1.0, delta=1 / 90, accountant="rdp").distill(private_digits)
    with pytest.raises(SettingsError, match="each of the classes"):
        privatize(small_psg, **BUDGET, accountant="rdp", counts={0: 5}).distill(private_digits)


def test_private_distillation_refuses_numbers_and_parts_of_other_data_before_it_pays(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=random)
    numbers = dd.load_data((x, x[:, 0]), name="numbers")
    private = privatize(dd.methods.dm(ipc=1, preset="cpu").with_steps(1), **BUDGET, accountant="rdp")
    with pytest.raises(UnsupportedError, match="the targets here are numbers"):
        private.distill(numbers, out=tmp_path / "out")
    ids = dd.load_data((x, (x[:, 0] > 0).long()), name="ids", class_names=["0", "1"])
    with pytest.raises(UnsupportedError, match="Pixels is for images, the data are tables"):
        private.distill(ids, out=tmp_path / "out")
    assert not any(tmp_path.rglob("*ledger*"))
