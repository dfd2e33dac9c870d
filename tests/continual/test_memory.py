from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ddcore as dd
from ddapps.continual import DistilledMemory, MemoryBudget
from ddapps.continual.distinct import first_copies
from ddapps.continual.memory import balanced, examples_of
from ddapps.sizing import Compression
from ddcore.errors import BudgetError, CheckpointError, OutputExistsError, SettingsError
from ddcore.images import Pixels
from ddcore.methods import presets
from tests.running import OF_IMAGES

QUICK: dict[str, Any] = {"network": "convnet(width=4)", "steps": 2}


@dataclass(frozen=True)
class Halved(Pixels):
    """A factorization that the library does not know."""

    name: ClassVar[str] = "halved"


def through(memory: DistilledMemory, tasks: list[dd.TargetData]) -> DistilledMemory:
    for task in tasks:
        memory.observe(task)
    return memory


def sums(memory: DistilledMemory) -> list[str]:
    return [kept.summary.sha256() for kept in memory.kept]


def test_a_memory_per_class_keeps_every_summary_as_it_was_made(three_tasks: list[dd.TargetData]) -> None:
    memory, seen = DistilledMemory("dm", "2-per-class", **QUICK), []
    for task in three_tasks:
        memory.observe(task)
        seen.append(sums(memory))
    assert [len(s) for s in seen] == [1, 2, 3]
    assert seen[2][:2] == seen[1]
    assert seen[1][:1] == seen[0]
    assert set(memory.counts.values()) == {2}
    assert memory.stored_bytes == 6 * 2 * 65


def test_a_memory_in_all_shrinks_equally_as_classes_arrive(three_tasks: list[dd.TargetData]) -> None:
    memory, sizes = DistilledMemory("dm", 12, **QUICK), []
    for task in three_tasks:
        memory.observe(task)
        sizes.append(list(memory.counts.values()))
    assert sizes == [[6, 6], [3, 3, 3, 3], [2, 2, 2, 2, 2, 2]]


def test_shrinking_looks_at_nothing_but_the_summary(three_tasks: list[dd.TargetData]) -> None:
    memory = DistilledMemory("random", 12)
    memory.observe(three_tasks[0])
    before = examples_of(memory.kept[0].summary).train.inputs
    memory.observe(three_tasks[1])
    after = examples_of(memory.kept[0].summary).train.inputs
    assert len(after) == 6
    assert all(any(torch.equal(image, other) for other in before) for image in after)


def test_bytes_buy_a_factorised_method_more_examples(three_tasks: list[dd.TargetData]) -> None:
    sizes = {}
    for name in ("random", "kfs"):
        memory = through(DistilledMemory(name, "1300B-per-class", **QUICK), three_tasks[:1])
        sizes[name] = len(memory.summary())
        assert memory.stored_bytes <= 2600
    assert sizes["random"] == 40
    assert sizes["kfs"] > 2 * sizes["random"]


@given(
    sizes=st.lists(
        st.dictionaries(st.integers(0, 4), st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=4
    ),
    amount=st.integers(1, 60),
    form=st.sampled_from(["bytes", "bytes-per-class", "examples", "examples-per-class"]),
    joint=st.booleans(),
    method=st.sampled_from(["random", "dm", "idc"]),
)
@example(sizes=[{0: 1, 2: 1, 1: 5}], amount=14, form="examples", joint=False, method="random")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_stream_makes_a_memory_exceed_its_budget(
    digits: dd.TargetData, sizes: list[dict[int, int]], amount: int, form: str, joint: bool, method: str
) -> None:
    unit, per_class = form.split("-")[0], form.endswith("class")
    budget = MemoryBudget(amount * (37 if unit == "bytes" else 1), unit, per_class)
    settings = {"joint": joint, "network": "convnet(width=2)", "steps": 1, "when_short": "error"}
    memory = DistilledMemory(method, budget, **settings)
    for index, counts in enumerate(sizes):
        chosen = torch.cat([(digits.train.targets == c).nonzero().flatten()[:n] for c, n in counts.items()])
        before = sums(memory)
        try:
            memory.observe(digits.with_train(chosen, "piece"))
        except BudgetError:
            assert sums(memory) == before
            # A refusal is warranted: twice an item of each class in each summary that has it would
            # have been enough.
            seen = sizes[: index + 1]
            classes = {c for of in seen for c in of}
            held = len(classes) if joint else sum(map(len, seen))
            item = {"idc": 4}.get(method, 1) * (65 if unit == "bytes" else 1)
            assert budget.amount * (len(classes) if per_class else 1) < held * (2 * item + 1)
            return
        classes = len(memory.counts)
        held = memory.stored_bytes if unit == "bytes" else sum(memory.counts.values())
        assert held <= budget.amount * (classes if per_class else 1)
        if per_class and unit == "examples":
            assert max(memory.counts.values()) <= budget.amount
        if unit == "examples" and not joint and len(sizes) == 1 and method != "idc":
            shares = budget.shares([(0, c) for c in sorted(counts)])  # a remainder goes to the first classes
            assert memory.counts == {key: min(share, counts[key[1]]) for key, share in sorted(shares.items())}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_examples_of_any_named_method_are_counted_before_they_are_made(name: str, few_digits: dd.TargetData) -> None:
    limit = {0: 9, 1: 5, 7: 17}
    counts = Compression(name).within(limit, few_digits).factorization.counts_for(few_digits.counts())
    assert set(counts) == set(limit)
    assert all(0 < n <= limit[class_id] for class_id, n in counts.items())


def test_classes_that_come_again_share_their_memory_with_the_earlier_ones(few_digits: dd.TargetData) -> None:
    parts = dd.data.partitions.iid(few_digits, 3, seed=0)
    memory, sizes = DistilledMemory("dm", "6-per-class", **QUICK), []
    for part in parts:
        memory.observe(part)
        sizes.append([list(kept.summary.counts.values()) for kept in memory.kept])
    assert sizes == [[[6, 6, 6]], [[3, 3, 3], [3, 3, 3]], [[2, 2, 2], [2, 2, 2], [2, 2, 2]]]
    with pytest.raises(BudgetError, match="3 experiences"):
        through(DistilledMemory("dm", "2-per-class", when_short="error", **QUICK), parts)


def test_a_joint_memory_is_one_summary_of_all_classes(three_tasks: list[dd.TargetData]) -> None:
    memory = through(DistilledMemory("dm", "2-per-class", joint=True, **QUICK), three_tasks)
    assert len(memory.kept) == 1
    assert memory.counts == dict.fromkeys([(0, c) for c in range(6)], 2)


def test_a_joint_memory_in_pieces_sees_one_piece_at_a_time(
    three_tasks: list[dd.TargetData], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, distill = [], dd.distill
    monkeypatch.setattr(
        dd, "distill", lambda target, *a, **k: sizes.append(len(target.train)) or distill(target, *a, **k)
    )
    memory = DistilledMemory("random", "2-per-class", joint=True, chunk=100)
    memory.observe(three_tasks[0])
    assert sizes[0] == 100
    assert len(sizes) == -(-len(three_tasks[0].train) // 100)
    assert set(memory.counts.values()) == {2}
    with pytest.raises(SettingsError, match="joint"):
        DistilledMemory("random", "2-per-class", chunk=100)


def test_balanced_data_count_by_weight_and_not_by_size(few_digits: dd.TargetData) -> None:
    few = few_digits.with_train(torch.tensor([0, 1, 40, 41]), "few")
    black, white = (
        replace(p, train=replace(p.train, inputs=torch.full_like(p.train.inputs, v)))
        for p, v in ((few, 0), (few_digits, 255))
    )
    union = balanced([black, white], [{0: 3, 1: 1}, {0: 1, 1: 1, 7: 1}])
    assert set(union.counts().values()) == {256}
    white_share = {c: float(union.train.of_classes([c]).inputs.float().mean()) / 255 for c in (0, 1, 7)}
    assert white_share == {0: 0.25, 1: 0.5, 7: 1.0}


def test_balanced_data_leave_out_no_example_that_there_is_room_for(digits: dd.TargetData) -> None:
    everything = digits.of_classes([0, 1])
    few = everything.with_train(torch.arange(4), "few")
    union = balanced([few, everything], [dict.fromkeys(few.spec.classes, 9), {0: 1, 1: 1}])
    assert len(first_copies(union.train)) == len(first_copies(everything.train))
    assert max(union.counts().values()) <= 4096


@pytest.mark.parametrize("setting", [{"memory": 8}, {"memory": "2-per-class"}, {"memory": 8, "joint": True}])
def test_a_crashed_run_ends_in_the_same_bytes(
    three_tasks: list[dd.TargetData], tmp_path: Path, setting: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = through(DistilledMemory("dm", **setting, **QUICK), three_tasks)
    through(DistilledMemory("dm", directory=tmp_path, **setting, **QUICK), three_tasks[:2])
    again = DistilledMemory("dm", directory=tmp_path, **setting, **QUICK)
    with monkeypatch.context() as patched:
        patched.setattr(dd, "distill", None)
        through(again, three_tasks[:2])
    again.observe(three_tasks[2])
    assert sums(again) == sums(whole)
    assert [kept.experience for kept in again.kept] == [kept.experience for kept in whole.kept]


def test_a_distillation_that_was_killed_goes_on(three_tasks: list[dd.TargetData], tmp_path: Path) -> None:
    class KilledError(Exception): ...

    quick = {**QUICK, "steps": 6}
    whole = through(DistilledMemory("dm", 8, directory=tmp_path / "a", **quick), three_tasks[:1])
    memory = DistilledMemory("dm", 8, directory=tmp_path / "b", **quick)
    original, steps = dd.distill, []

    def dying(*arguments: object, **settings: object) -> dd.DataSummary:
        def watch(progress: dd.Progress) -> None:
            steps.append(progress.step)
            if len(steps) == 4:
                raise KilledError

        return original(*arguments, **{**settings, "callbacks": [watch]}, checkpoint_seconds=0)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dd, "distill", dying)
        with pytest.raises(KilledError):
            memory.observe(three_tasks[0])
        assert (memory.kept, memory.experiences) == ((), 0)
        again = through(DistilledMemory("dm", 8, directory=tmp_path / "b", **quick), three_tasks[:1])
    assert sums(again) == sums(whole)
    assert len(steps) < 4 + 6
    assert not list((tmp_path / "b").rglob("*.checkpoint"))


@pytest.mark.parametrize("setting", [{"memory": 12}, {"memory": 12, "joint": True, "chunk": 150}])
def test_a_directory_changes_nothing_about_resizing_tasks_and_pieces(
    three_tasks: list[dd.TargetData], tmp_path: Path, setting: dict[str, object]
) -> None:
    memories = [DistilledMemory("dm", **setting, **QUICK)]
    memories += [DistilledMemory("dm", directory=tmp_path, **setting, **QUICK) for _ in range(2)]
    for memory in memories:
        memory.observe([(0, three_tasks[0]), (1, three_tasks[1])])
        memory.resize(8)
        memory.resize(6)
        memory.observe([(1, three_tasks[2])])
        assert sum(memory.counts.values()) == 6
    assert sums(memories[0]) == sums(memories[1]) == sums(memories[2])
    assert memories[0].seconds_saved == memories[1].seconds_saved == 0 < memories[2].seconds_saved


def test_a_resize_keeps_the_checkpoint_of_the_experience_that_was_killed(
    three_tasks: list[dd.TargetData], tmp_path: Path
) -> None:
    memory = through(DistilledMemory("dm", 12, directory=tmp_path, **QUICK), three_tasks[:1])
    killed = tmp_path / "experience-0001" / "task-0-0123.checkpoint"
    killed.parent.mkdir()
    killed.write_text("a killed run's")
    memory.resize(8)
    assert [path.name for path in killed.parent.iterdir()] == [killed.name]


def test_a_factorization_of_ones_own_is_found_again(three_tasks: list[dd.TargetData], tmp_path: Path) -> None:
    method = dd.Method(factorization=Halved(), name="halved")
    first, again = (DistilledMemory(method, "2-per-class", directory=tmp_path) for _ in range(2))
    first.observe(three_tasks[0])
    again.observe(three_tasks[0])
    assert sums(again) == sums(first)
    assert again.seconds_saved > 0
    assert isinstance(again.kept[0].summary.parts[0].factorization, Halved)


def test_an_experience_on_another_memory_is_not_the_same(three_tasks: list[dd.TargetData], tmp_path: Path) -> None:
    through(DistilledMemory("random", 4, directory=tmp_path), three_tasks[:2])
    shutil.rmtree(tmp_path / "experience-0000")
    with pytest.raises(OutputExistsError, match="memory differ"):
        through(DistilledMemory("random", 4, directory=tmp_path), [three_tasks[2], three_tasks[1]])


@pytest.mark.parametrize("method", ["random", "dm", "linba"])
def test_a_joint_memory_holds_no_example_twice(digits: dd.TargetData, method: str) -> None:
    def piece(**counts: int) -> dd.TargetData:
        each = [(digits.train.targets == int(c[1:])).nonzero().flatten()[:n] for c, n in counts.items()]
        return digits.with_train(torch.cat(each), "piece")

    memory = DistilledMemory(
        method,
        "400B-per-class" if method == "linba" else "3-per-class",
        joint=True,
        network="convnet(width=2)",
        steps=0 if method == "dm" else 1,
    )
    memory.observe(piece(c0=1, c1=5))
    memory.observe(piece(c1=5, c2=5))
    assert memory.counts[0, 0] == 1
    if method != "linba":
        assert memory.counts == {(0, 0): 1, (0, 1): 3, (0, 2): 3}
        images = memory.summary().to_pixels().flatten(1)
        assert len(torch.unique(images, dim=0)) == 7


def test_an_experience_in_pieces_weighs_classes_as_so_many_experiences_do(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddapps.continual import distilled

    each = [(digits.train.targets == c).nonzero().flatten()[:4] for c in (0, 1)]
    pieces = [digits.with_train(each[c], "piece") for c in (0, 1, 0)]
    whole = digits.with_train(torch.cat([each[0], each[1], each[0]]), "whole")
    found = []
    for stream, chunk in (([whole], 4), (pieces, None)):
        weights: list[object] = []
        monkeypatch.setattr(distilled, "balanced", lambda parts, w, seen=weights: seen.append(w) or balanced(parts, w))
        through(DistilledMemory("random", "2-per-class", joint=True, chunk=chunk), stream)
        found.append(weights)
    assert found[0] == found[1]
    assert found[0][2] == [{0: 1, 1: 1}, {0: 1}]


def test_a_directory_of_another_stream_or_of_other_settings_is_refused(
    three_tasks: list[dd.TargetData], tmp_path: Path
) -> None:
    through(DistilledMemory("random", 8, directory=tmp_path), three_tasks[:1])
    for memory, task in (
        (DistilledMemory("random", 8, directory=tmp_path), three_tasks[1]),
        (DistilledMemory("random", 6, directory=tmp_path), three_tasks[0]),
        (DistilledMemory("herding", 8, directory=tmp_path), three_tasks[0]),
        (DistilledMemory("random", 8, directory=tmp_path, seed=1), three_tasks[0]),
    ):
        with pytest.raises(OutputExistsError, match="another run"):
            memory.observe(task)


@pytest.mark.parametrize("damage", ["json", "missing", "outside", "twice", "other", "file"])
def test_a_damaged_directory_is_named(three_tasks: list[dd.TargetData], tmp_path: Path, damage: str) -> None:
    through(DistilledMemory("random", 8, directory=tmp_path / "m"), three_tasks[:1])
    folder = tmp_path / "m" / "experience-0000"
    step = folder / "memory.json"
    if damage == "json":
        step.write_text(step.read_text()[:-20])
    elif damage == "missing":
        shutil.rmtree(folder / "summary-0")
    elif damage == "outside":
        shutil.copytree(folder / "summary-0", tmp_path / "elsewhere")
        step.write_text(step.read_text().replace("experience-0000/summary-0", "../elsewhere"))
    elif damage == "twice":
        told = json.loads(step.read_text())
        step.write_text(json.dumps({**told, "kept": 2 * told["kept"]}))
    elif damage == "other":
        dd.distill(three_tasks[0], dd.methods.random(ipc=9)).save(folder / "summary-0", overwrite=True)
    else:
        shutil.rmtree(tmp_path / "m")
        (tmp_path / "m").write_text("not a directory")
    with pytest.raises((CheckpointError, OutputExistsError), match=r"damaged|is a file"):
        DistilledMemory("random", 8, directory=tmp_path / "m").observe(three_tasks[0])


def test_resizing_distils_again_what_is_too_large(three_tasks: list[dd.TargetData]) -> None:
    memory = through(DistilledMemory("random", 12), three_tasks[:2])
    memory.resize(4)
    assert list(memory.counts.values()) == [1, 1, 1, 1]
    with pytest.raises(BudgetError):
        memory.resize(3)
    assert memory.budget == MemoryBudget(4)


def test_a_class_with_fewer_examples_than_its_share_gives_what_it_has(few_digits: dd.TargetData) -> None:
    one_of_a_class = few_digits.with_train(torch.tensor([0, *range(40, 80)]), "lopsided")
    memory = DistilledMemory("dm", "3-per-class", **QUICK)
    memory.observe(one_of_a_class)
    assert memory.counts == {(0, 0): 1, (0, 1): 3}


def test_a_budget_too_small_for_one_item_says_what_would_do(three_tasks: list[dd.TargetData]) -> None:
    for method, memory in (("random", "64B-per-class"), ("idc", "1-per-class"), ("dm", 1)):
        tried = DistilledMemory(method, memory, **QUICK)
        with pytest.raises(BudgetError, match=r"more memory|are the least"):
            tried.observe(three_tasks[0])
        assert tried.kept == ()


def test_the_size_is_not_the_first_argument() -> None:
    with pytest.raises(SettingsError, match="memory=200"):
        DistilledMemory(200)  # type: ignore[arg-type]
    with pytest.raises(dd.errors.UnknownNameError, match="preset"):
        DistilledMemory("dm", preset="quick")


def test_the_preset_of_a_processor_is_said_of_a_name_alone(caplog: pytest.LogCaptureFixture) -> None:
    said = []
    for method in (dd.methods.dm(ipc=1, preset="cpu"), "dm"):
        presets._say_once.cache_clear()
        assert DistilledMemory(method, device="cpu").compression.preset == "cpu"
        said.append(len(caplog.records))
    assert said == [0, 1] and "preset 'cpu' on this processor" in caplog.text


def test_float32_takes_four_times_the_bytes_of_the_same_images(three_tasks: list[dd.TargetData]) -> None:
    in_bytes, in_floats = (
        through(DistilledMemory("dm", "2-per-class", storage=storage, **QUICK), three_tasks[:1])
        for storage in ("uint8", "float32")
    )
    assert (in_bytes.stored_bytes, in_floats.stored_bytes) == (4 * 65, 4 * 257)
    difference = (in_bytes.summary().to_pixels() - in_floats.summary().to_pixels()).abs().max()
    assert float(difference) <= 0.5 / 255 + 1e-6
