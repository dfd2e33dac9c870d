from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

import ddcore as dd
from ddcore.engine import Loop
from ddcore.errors import BudgetError, CheckpointError, DivergenceError, InputDataError, SettingsError, UnknownNameError
from ddcore.images import Pixels
from ddcore.parts import Examples, Matching, MatchingState, Term


@dataclass(frozen=True)
class PullToZero(Matching):
    """Half the squared pixels, and the labels' cross-entropy with themselves scaled.

    It becomes NaN at one step.
    """

    bad_step: int = -1
    per_class: bool = False
    family: ClassVar[str] = "toy"
    trains_labels: ClassVar[bool] = True

    def terms(self, run: dd.Run, state: MatchingState) -> Iterator[Term]:
        poison = float("nan") if run.step == self.bad_step else 1.0
        for class_id in run.examples.classes:
            batch = run.examples.decode(run.examples.draw([class_id]))
            loss = 0.5 * poison * batch.inputs.square().sum()
            if batch.targets.is_floating_point():
                loss = loss + batch.targets.square().sum()
            yield Term(loss, update=self.per_class, classes=(class_id,))


def toy(**settings: object) -> dd.Method:
    defaults: dict[str, object] = {
        "factorization": Pixels(ipc=2),
        "matching": PullToZero(),
        "networks": dd.sources.FreshNetworks(dd.networks.MLP(width=4, depth=1)),
        "optimiser": dd.Optimiser("sgd", learning_rate=0.1, momentum=0.5),
        "steps": 7,
    }
    return dd.Method(**(defaults | settings))  # type: ignore[arg-type]


def test_the_loop_equals_sgd_with_momentum_by_hand(few_digits: dd.TargetData) -> None:
    start = dd.distill(few_digits, toy(matching=None, steps=0))
    x, velocity = start.tensors()[0].clone(), torch.zeros(6, 1, 8, 8)
    for _ in range(7):
        velocity = 0.5 * velocity + x
        x = x - 0.1 * velocity
    assert torch.allclose(dd.distill(few_digits, toy()).tensors()[0], x, atol=1e-6)


def test_an_update_after_each_term_equals_one_update_where_classes_do_not_interact(few_digits: dd.TargetData) -> None:
    once = dd.distill(few_digits, toy(optimiser=dd.Optimiser(momentum=0.0, learning_rate=0.1)))
    each = dd.distill(
        few_digits, toy(optimiser=dd.Optimiser(momentum=0.0, learning_rate=0.1), matching=PullToZero(per_class=True))
    )
    assert torch.allclose(once.tensors()[0], each.tensors()[0], atol=1e-7)


def test_a_last_step_into_infinity_is_noticed(few_digits: dd.TargetData) -> None:
    wild = toy(optimiser=dd.Optimiser(learning_rate=3e38, momentum=0.0), steps=1)
    with pytest.raises(DivergenceError) as caught:
        dd.distill(few_digits, wild)
    assert caught.value.step == 0
    assert torch.isfinite(caught.value.summary.tensors()[0]).all()


def test_a_term_for_some_groups_leaves_the_gradients_of_earlier_terms_alone(few_digits: dd.TargetData) -> None:
    @dataclass(frozen=True)
    class TwoTerms(Matching):
        family: ClassVar[str] = "toy"
        trains_labels: ClassVar[bool] = True

        def terms(self, run: dd.Run, state: MatchingState) -> Iterator[Term]:
            batch = run.examples.decode()
            yield Term(batch.targets.square().sum())
            batch = run.examples.decode()
            yield Term(batch.inputs.sum() + 100 * batch.targets.sum(), groups=("images",))

    method = toy(
        matching=TwoTerms(),
        factorization=Pixels(ipc=1, labels="soft"),
        optimiser=dd.Optimiser(learning_rate=0.1, momentum=0.0),
        steps=1,
    )
    before, after = (dd.distill(few_digits, method, steps=s).tensors() for s in (0, 1))
    assert torch.allclose(after[1].max(dim=1).values, torch.full((3,), 0.8))
    assert torch.allclose(after[0], before[0] - 0.1, atol=1e-6)


def test_soft_labels_are_learned_with_a_rate_of_their_own(few_digits: dd.TargetData) -> None:
    method = toy(
        factorization=Pixels(ipc=2, labels="soft"),
        optimiser=dd.Optimiser(learning_rate=0.1, momentum=0.0, group_learning_rates={"labels": 0.05}),
        steps=1,
    )
    labels = dd.distill(few_digits, method).tensors()[1]
    assert labels.shape == (6, 10)
    assert torch.allclose(labels.max(dim=1).values, torch.full((6,), 1 - 0.05 * 2.0))
    with pytest.raises(SettingsError, match="parameter group"):
        dd.distill(few_digits, toy(optimiser=dd.Optimiser(group_learning_rates={"lables": 1.0})))


def test_same_seed_same_bytes_other_seed_other_bytes(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    hashes = [dd.distill(few_digits, small_dm, seed=s).sha256() for s in (3, 3, 4)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_dm_lowers_its_own_loss(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    losses: list[float] = []
    dd.distill(few_digits, small_dm.with_steps(60), callbacks=[lambda p: losses.append(float(p.loss))])
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_one_method_serves_many_runs_unchanged(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    before = small_dm.describe()
    dd.distill(few_digits, small_dm, steps=1)
    assert small_dm.describe() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        small_dm.steps = 3  # type: ignore[misc]


class _StopError(Exception):
    pass


class FirstStep:
    """Remembers the first step that it sees."""

    step: int | None = None

    def __call__(self, progress: dd.Progress) -> None:
        self.step = progress.step if self.step is None else self.step


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    few_digits: dd.TargetData, small_dm: dd.Method, tmp_path: Path, kind: str
) -> None:
    method = dataclasses.replace(small_dm, optimiser=dd.Optimiser(kind, learning_rate=0.5))
    whole = dd.distill(few_digits, method, seed=1)
    for stop_after in (1, 3, 5):

        def interrupt(progress: dd.Progress, stop_after: int = stop_after) -> None:
            if progress.step == stop_after + 1:
                raise _StopError

        path = tmp_path / f"{kind}{stop_after}"
        with pytest.raises(_StopError):
            dd.distill(few_digits, method, seed=1, checkpoint=path, checkpoint_seconds=0, callbacks=[interrupt])
        first = FirstStep()
        resumed = dd.distill(few_digits, method, seed=1, checkpoint=path, callbacks=[first])
        assert first.step == stop_after + 1
        assert resumed.sha256() == whole.sha256()
        again = dd.distill(few_digits, method, seed=1, checkpoint=path)
        assert again.sha256() == whole.sha256()


def test_a_checkpoint_of_another_run_is_refused(few_digits: dd.TargetData, small_dm: dd.Method, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def interrupt(progress: dd.Progress) -> None:
        if progress.step == 3:
            raise _StopError

    with pytest.raises(_StopError):
        dd.distill(few_digits, small_dm, checkpoint=path, checkpoint_seconds=0, callbacks=[interrupt])
    with pytest.raises(CheckpointError, match="seed was 0, now it is 1"):
        dd.distill(few_digits, small_dm, seed=1, checkpoint=path)
    with pytest.raises(CheckpointError, match="method"):
        dd.distill(few_digits, small_dm.with_steps(9), checkpoint=path)
    with pytest.raises(CheckpointError, match="data"):
        dd.distill(few_digits.of_classes([0, 1]), small_dm, checkpoint=path)
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    with pytest.raises(CheckpointError, match="damaged"):
        dd.distill(few_digits, small_dm, checkpoint=path)
    path.write_bytes(content)
    assert dd.distill(few_digits, small_dm, checkpoint=path).sha256() == dd.distill(few_digits, small_dm).sha256()


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_state(few_digits: dd.TargetData) -> None:
    with pytest.raises(DivergenceError, match="step 4") as caught:
        dd.distill(few_digits, toy(matching=PullToZero(bad_step=4)))
    assert caught.value.step == 4
    assert caught.value.summary.record["steps"] == 3
    good = caught.value.summary.tensors()[0]
    assert torch.isfinite(good).all()
    assert torch.allclose(good, dd.distill(few_digits, toy(steps=3)).tensors()[0])


def test_looking_at_the_loss_rarely_finds_the_same_step(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Loop.__init__

    def rarely(self: Loop, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        self._check_every = 50

    monkeypatch.setattr(Loop, "__init__", rarely)
    with pytest.raises(DivergenceError) as caught:
        dd.distill(few_digits, toy(matching=PullToZero(bad_step=4)))
    assert caught.value.step == 4
    assert torch.isfinite(caught.value.summary.tensors()[0]).all()


def test_a_run_goes_on_from_a_summary(few_digits: dd.TargetData) -> None:
    no_momentum = toy(optimiser=dd.Optimiser(momentum=0.0, learning_rate=0.1))
    whole = dd.distill(few_digits, no_momentum)
    half = dd.distill(few_digits, no_momentum, steps=3)
    rest = dd.distill(few_digits, no_momentum, steps=4, start=half)
    assert torch.allclose(rest.tensors()[0], whole.tensors()[0], atol=1e-6)
    assert rest.record["start"]["sha256"] == half.sha256()
    with pytest.raises(SettingsError, match="ipc"):
        dd.distill(few_digits, toy(factorization=Pixels(ipc=3)), start=half)
    with pytest.raises(SettingsError, match="stores"):
        dd.distill(few_digits, no_momentum, start=half.quantize("uint8"))
    with pytest.raises(SettingsError, match="2 part"):
        dd.distill(few_digits, no_momentum, start=dd.concat([half, half]))
    other = dd.load_data("digits", normalisation="none").of_classes([0, 1, 7])
    with pytest.raises(InputDataError, match="normalisation"):
        dd.distill(other, no_momentum, start=half)


class Clock:
    """Time as a test says it passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in ("distill", "loop"):
            monkeypatch.setattr(f"ddcore.engine.{module}.time", SimpleNamespace(monotonic=lambda: self.now))

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_time_is_a_budget_too(few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that begins within the time is finished; initialisation counts."""
    clock = Clock(monkeypatch)

    @dataclass(frozen=True)
    class Slow(Pixels):
        def start(self, run: dd.Run) -> Examples:
            clock.passes(10.0)
            return super().start(run)

    method, tick = toy(steps=1000, factorization=Slow(ipc=2)), [lambda _: clock.passes(2.0)]
    for limit, steps in ((9.0, 0), (10.0, 0), (10.5, 2), (14.0, 3), (15.0, 4)):
        record = dd.distill(few_digits, method, max_seconds=limit, callbacks=tick).record
        assert (record["steps"], record["seconds"]) == (steps, 10.0 + 2.0 * max(0, steps - 1))


def test_a_resumed_run_counts_the_seconds_before(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    options = {"checkpoint": tmp_path / "checkpoint", "callbacks": [lambda _: clock.passes(2.0)]}
    first = dd.distill(few_digits, toy(), max_seconds=3.0, **options).record
    clock.passes(500.0)
    last = dd.distill(few_digits, toy(), **options).record
    assert (first["steps"], first["seconds"]) == (3, 4.0)
    assert (last["steps"], last["seconds"]) == (7, 4.0 + 2.0 * 3)


def test_observers_see_every_step_and_can_take_snapshots(few_digits: dd.TargetData) -> None:
    seen: list[tuple[int, dd.DataSummary]] = []
    final = dd.distill(few_digits, toy(), callbacks=[lambda p: seen.append((p.step, p.snapshot()))])
    assert [s for s, _ in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert seen[-1][1].sha256() == final.sha256()
    assert torch.allclose(seen[2][1].tensors()[0], dd.distill(few_digits, toy(steps=3)).tensors()[0])


def test_networks_may_be_names_settings_modules_or_factories(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 10))
    hashes = set()
    for networks in ("mlp(width=16)", dd.images.LeNet(), module, lambda: copy.deepcopy(module)):
        summary = dd.distill(few_digits, small_dm, steps=2, networks=networks)
        assert summary.record["method"]["networks"]["architecture"]["type"] in ("MLP", "LeNet", "Redrawn", "Factory")
        hashes.add(summary.sha256())
    assert len(hashes) >= 3


@pytest.mark.parametrize("precision", ["bf16", "fp64"])
def test_other_precisions_come_close_to_fp32(few_digits: dd.TargetData, small_dm: dd.Method, precision: str) -> None:
    a = dd.distill(few_digits, small_dm).tensors()[0]
    b = dd.distill(few_digits, small_dm, precision=precision).tensors()[0]
    difference = float((a - b).norm() / a.norm())
    assert difference < (1e-4 if precision == "fp64" else 0.05)


def test_micro_batches_change_the_last_digits_only(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    a, b = (
        dd.distill(few_digits, small_dm, precision="fp64", micro_batch=m).tensors(dtype=torch.float64)[0]
        for m in (5, 64)
    )
    assert float((a - b).abs().max()) < 1e-6


def test_bad_requests_are_refused_before_any_work(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    with pytest.raises(BudgetError, match="class 0 were asked for, it has 40"):
        dd.distill(few_digits, toy(factorization=Pixels(ipc=41)))
    with pytest.raises(BudgetError):
        dd.distill(few_digits, toy(factorization=Pixels(ipc=41, init="noise")))
    with pytest.raises(UnknownNameError, match="bf16"):
        dd.distill(few_digits, small_dm, precision="fp8")
    with pytest.raises(SettingsError, match="tf32"):
        dd.distill(few_digits, small_dm, device="cpu", precision="tf32")
    with pytest.raises(UnknownNameError, match="auto"):
        dd.distill(few_digits, small_dm, device="abacus")
    with pytest.raises(InputDataError, match="TargetData"):
        dd.distill([1, 2], small_dm)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="micro_batch"):
        dd.distill(few_digits, small_dm, micro_batch=0)
    with pytest.raises(SettingsError, match="steps"):
        dd.distill(few_digits, small_dm, steps=-1)
    with pytest.raises(SettingsError, match="no steps"):
        dd.Method(Pixels(), steps=5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    with pytest.raises(SettingsError, match="no GPU"):
        dd.distill(few_digits, small_dm, device="cuda")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compilation on a CPU needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["dm", "dsa"])
def test_compiled_passes_give_the_same_run(few_digits: dd.TargetData, name: str) -> None:
    method = dd.methods.build_method(name, ipc=2, preset="cpu").on_networks("convnet(width=8,depth=1)").with_steps(4)
    a, b = (dd.distill(few_digits, method, compile=c).tensors()[0] for c in (False, True))
    assert not torch.equal(a, b), "nothing was compiled"
    assert torch.allclose(a, b, atol=1e-4)
