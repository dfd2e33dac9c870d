"""Tables, events and snapshots of a run say what the run says, also where it was interrupted."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.callbacks.rows import Rows, spread
from ddcore.engine.progress import ProgressBar, closing
from ddcore.errors import DivergenceError, MissingExtraError, OutputExistsError, SettingsError
from tests.engine.test_distill import PullToZero, toy

Callback = Callable[[dd.Progress], None]


class _StopError(Exception):
    pass


def stop_at(step: int) -> Callback:
    def stop(progress: dd.Progress) -> None:
        if progress.step == step:
            raise _StopError

    return stop


def rows(path: Path) -> list[tuple[int, float, float]]:
    with path.open() as file:
        return [(int(r["step"]), float(r["loss"]), float(r["seconds"])) for r in csv.DictReader(file)]


def interrupted(target: dd.TargetData, folder: Path, observers: Callable[[], list[Callback]]) -> None:
    """Run seven steps: fail at step 5 with a checkpoint of step 3, then go on to the end."""
    checkpoint = folder / "checkpoint"
    with pytest.raises(_StopError):
        dd.distill(
            target,
            toy(),
            checkpoint=checkpoint,
            checkpoint_seconds=0,
            callbacks=[*observers(), stop_at(4)],
        )
    saved = checkpoint.read_bytes()
    with pytest.raises(_StopError):
        dd.distill(target, toy(), checkpoint=checkpoint, checkpoint_seconds=1e9, callbacks=[*observers(), stop_at(6)])
    assert checkpoint.read_bytes() == saved, "the second run went back to step 3"
    dd.distill(target, toy(), checkpoint=checkpoint, callbacks=observers())


def test_a_table_has_every_step_once_in_order_as_an_observer_sees_it(few_digits: dd.TargetData, tmp_path: Path) -> None:
    seen: list[tuple[int, float, float]] = []
    path = tmp_path / "deep" / "progress.csv"
    watch: Callback = lambda p: seen.append((p.step, float(p.loss), p.seconds))  # noqa: E731
    dd.distill(few_digits, toy(), callbacks=[watch, dd.callbacks.CSVLog(path)])
    assert path.read_text().startswith("step,loss,seconds\n1,")
    found = rows(path)
    assert [r[0] for r in found] == [s[0] for s in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert [r[1] for r in found] == pytest.approx([s[1] for s in seen], rel=1e-8)
    assert [r[2] for r in found] == pytest.approx([s[2] for s in seen], abs=6e-4)
    interrupted(few_digits, tmp_path, lambda: [dd.callbacks.CSVLog(path)])
    again = rows(path)
    assert [r[:2] for r in again] == [r[:2] for r in found]
    assert all(a[2] <= b[2] for a, b in pairwise(again))


def test_rows_are_on_disk_before_a_checkpoint_is(few_digits: dd.TargetData, tmp_path: Path) -> None:
    """A killed process closes nothing: rows that were held back then would be lost for good."""
    path = tmp_path / "progress.csv"
    log = dd.callbacks.CSVLog(path)
    at_step: list[int] = []
    dd.distill(
        few_digits,
        toy(),
        checkpoint=tmp_path / "checkpoint",
        checkpoint_seconds=0,
        callbacks=[log, lambda p: at_step.append(len(rows(path)))],
    )
    assert at_step == [0, 1, 2, 3, 4, 5, 6]


def test_a_table_begins_anew_and_mends_a_torn_row_but_replaces_no_other_file(
    few_digits: dd.TargetData, tmp_path: Path
) -> None:
    path = tmp_path / "progress.csv"
    dd.distill(few_digits, toy(), callbacks=[dd.callbacks.CSVLog(path)])
    path.write_text(path.read_text() + "8,0.")
    dd.distill(few_digits, toy(steps=2), callbacks=[dd.callbacks.CSVLog(path)])
    assert [r[0] for r in rows(path)] == [1, 2]
    path.write_text("name,grade\nAda,1\n")
    with pytest.raises(OutputExistsError, match="no log of a run"):
        dd.callbacks.CSVLog(path)
    assert path.read_text() == "name,grade\nAda,1\n"
    dd.distill(few_digits, dd.methods.random(ipc=1, preset="cpu"), callbacks=[dd.callbacks.CSVLog(tmp_path / "new")])
    assert (tmp_path / "new").read_text() == "step,loss,seconds\n"


def test_losses_are_read_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each reading makes the host wait."""
    now, read = [0.0], list[int]()
    monkeypatch.setattr("ddcore.callbacks.rows.time.monotonic", lambda: now[0])
    held = Rows(lambda got: read.append(len(got)))
    for step in range(1, 2501):
        held.add(dd.Progress(step, 3000, torch.tensor(1.0), 0.0, lambda: None))  # type: ignore[arg-type, return-value]
    assert read == [1000, 1000]
    now[0] = 2.0
    held.add(dd.Progress(2501, 3000, torch.tensor(1.0), 0.0, lambda: None))  # type: ignore[arg-type, return-value]
    assert read == [1000, 1000, 501]


def test_states_are_spread_evenly_from_the_first_step_to_the_last() -> None:
    assert spread(4, 10) == [1, 4, 7, 10]
    assert spread(3, 2) == [1, 2]
    assert (spread(1, 9), spread(5, 1)) == ([9], [1])
    for count, steps in ((10, 500), (7, 20_000), (2, 3)):
        chosen = spread(count, steps)
        gaps = [b - a for a, b in pairwise(chosen)]
        assert len(chosen) == count and chosen[0] == 1 and chosen[-1] == steps and max(gaps) - min(gaps) <= 1


def test_snapshots_are_the_states_of_shorter_runs(few_digits: dd.TargetData, tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    for stale in ("00000002", "00000009"):  # of an earlier run with other steps
        dd.distill(few_digits, toy(steps=2), seed=5).save(folder / stale)
    (folder / "mine").mkdir()
    (folder / "12345678").mkdir()
    interrupted(few_digits, tmp_path, lambda: [dd.callbacks.Snapshots(folder, 3)])
    assert sorted(p.name for p in folder.iterdir()) == ["00000001", "00000004", "00000007", "12345678", "mine"]
    for steps in (1, 4, 7):
        saved = dd.DataSummary.load(folder / f"{steps:08d}")
        assert saved.record["steps"] == steps
        assert torch.allclose(saved.tensors()[0], dd.distill(few_digits, toy(steps=steps)).tensors()[0])
    more = dd.callbacks.Snapshots(folder, 2)  # a resumed run may be told another number
    more(dd.Progress(5, 7, torch.tensor(0.0), 1.0, lambda: pytest.fail("step 5 is not chosen")))
    assert sorted(p.name for p in folder.iterdir()) == ["00000001", "12345678", "mine"]
    with pytest.raises(SettingsError, match="count"):
        dd.callbacks.Snapshots(folder, 0)


def test_a_state_that_is_not_finite_is_no_snapshot(few_digits: dd.TargetData, tmp_path: Path) -> None:
    wild = toy(optimiser=dd.Optimiser(learning_rate=3e38, momentum=0.0), steps=1)
    with pytest.raises(DivergenceError):
        dd.distill(few_digits, wild, callbacks=[dd.callbacks.Snapshots(tmp_path / "snapshots", 2)])
    assert not (tmp_path / "snapshots").exists()


def test_tensorboard_reads_loss_pace_and_pictures_each_step_once(few_digits: dd.TargetData, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    table, events = tmp_path / "progress.csv", tmp_path / "events"
    interrupted(
        few_digits, tmp_path, lambda: [dd.callbacks.TensorBoard(events, pictures=2), dd.callbacks.CSVLog(table)]
    )
    found = EventAccumulator(str(events)).Reload()
    losses = {e.step: e.value for e in found.Scalars("loss")}
    assert len(found.Scalars("loss")) == 7
    assert losses == pytest.approx({step: loss for step, loss, _ in rows(table)}, rel=1e-6)
    pace = found.Scalars("seconds per step")
    assert len({e.step for e in pace}) == len(pace) >= 4 and all(e.value > 0 for e in pace)
    assert [(e.step, e.width, e.height) for e in found.Images("examples")] == [(1, 218, 296), (7, 218, 296)]


def test_tensorboard_that_is_not_there_is_named_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"needs tensorboard.*\[tensorboard\]"):
        dd.callbacks.TensorBoard(tmp_path)


def test_all_callbacks_are_closed_also_where_a_run_fails(few_digits: dd.TargetData) -> None:
    class Closed:
        def __init__(self, fails: bool = False) -> None:
            self.times, self.fails = 0, fails

        def __call__(self, progress: dd.Progress) -> None:
            pass

        def close(self) -> None:
            self.times += 1
            if self.fails:
                raise OSError("no space")

    first, last = Closed(), Closed()
    with pytest.raises(DivergenceError):
        dd.distill(few_digits, toy(matching=PullToZero(bad_step=2)), callbacks=[first, last])
    dd.distill(few_digits, toy(steps=1), callbacks=[first])
    dd.distill(few_digits, toy(matching=None, steps=0), callbacks=[first])
    assert (first.times, last.times) == (3, 1)
    with pytest.raises(OSError, match="no space"), closing([first, Closed(fails=True)]):
        pass
    assert first.times == 4


def test_the_bar_shows_loss_seconds_per_step_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [10.0]
    monkeypatch.setattr("ddcore.engine.progress.time.monotonic", lambda: now[0])
    bar = ProgressBar("dm on digits")
    for step in range(1, 5):
        now[0] += 1.0
        bar(dd.Progress(step, 4, torch.tensor(0.5 / step), 2.5 * step, lambda: None))  # type: ignore[arg-type, return-value]
    bar.close()
    shown = capsys.readouterr().err.split("\r")[-1]
    assert shown.startswith("dm on digits: 100%|") and "4/4 steps, 00:00 left, loss 0.125, 2.5 s/step" in shown


def test_a_bar_is_shown_where_somebody_looks(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(progress: bool | None = None) -> bool:
        dd.distill(few_digits, toy(steps=1), progress=progress)
        return "1/1 steps" in capsys.readouterr().err

    assert (shown(), shown(True), shown(False)) == (False, True, False)
    with monkeypatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert (shown(), shown(False)) == (True, False)

    class ZMQInteractiveShell:
        pass

    notebook = type("Module", (), {"get_ipython": staticmethod(ZMQInteractiveShell)})
    monkeypatch.setitem(sys.modules, "IPython", notebook)  # type: ignore[arg-type]
    assert shown()
