"""What a memory does when a stream brings more than it has room for, or takes too long."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ddcore as dd
from ddapps.continual import (
    CondensedMemory,
    DistilledBuffer,
    DistilledMemory,
    Memory,
    MemoryBudget,
    SampleCondensationBuffer,
)
from ddapps.continual import pace as pacing
from ddapps.continual.memory import balanced, examples_of
from ddapps.continual.pace import CPU_SECONDS, Deadline, Pace, most_seconds
from ddcore.data import partitions
from ddcore.errors import BudgetError, DistillationWarning, UnknownNameError

QUICK: dict[str, Any] = {"network": "convnet(width=2)", "steps": 1}


def images_of(data: dd.TargetData | Memory) -> list[tuple[int, ...]]:
    """Return all images as bytes."""
    if isinstance(data, Memory):
        return [image for kept in data.kept for image in images_of(examples_of(kept.summary))]
    pixels = data.train.inputs
    pixels = pixels if pixels.dtype == torch.uint8 else (255 * pixels).round()
    return [tuple(image) for image in pixels.flatten(1).int().tolist()]


def shas(memory: Memory) -> list[str]:
    return [kept.summary.sha256() for kept in memory.kept]


def test_five_images_of_six_classes_keep_those_of_the_first_five_and_say_so_once(
    three_tasks: list[dd.TargetData],
) -> None:
    memory = DistilledMemory("random", 5)
    first, second = (task.spec.classes for task in three_tasks[:2])
    for task in three_tasks[:2]:
        memory.observe(task)
    with pytest.warns(DistillationWarning, match=f"class {three_tasks[2].spec.classes[1]}, nor for others") as said:
        memory.observe(three_tasks[2])
    assert len(said) == 1
    assert set(memory.counts) == {(0, c) for c in (*first, *second, three_tasks[2].spec.classes[0])}
    assert set(memory.counts.values()) == {1}
    kept = shas(memory)
    memory.observe(three_tasks[2].of_classes(three_tasks[2].spec.classes[1:]))  # says nothing again
    assert shas(memory) == kept and memory.experiences == 4
    assert memory.left_out == ((0, three_tasks[2].spec.classes[1]),)


def test_classes_that_come_again_are_joined_where_there_is_no_room_for_two(few_digits: dd.TargetData) -> None:
    """One image of each class, of three experiences: the last summary is made of what was kept."""
    memory = DistilledMemory("random", "1-per-class")
    parts = partitions.iid(few_digits, 3, seed=0)
    memory.observe(parts[0])
    with pytest.warns(DistillationWarning, match="into one from now on") as said:  # noqa: PT031
        for part in parts[1:]:
            candidates = {*images_of(memory), *images_of(part)}
            memory.observe(part)
            assert len(memory.kept) == 1 and candidates.issuperset(images_of(memory))
    assert len(said) == 1
    assert set(memory.counts.values()) == {1} and memory.kept[0].experience == 2 and memory.left_out == ()


def test_what_is_joined_counts_as_many_experiences_as_it_stands_for(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two summaries and the third experience; then the one of three, and the fourth."""
    from ddapps.continual import distilled

    weights: list[object] = []
    monkeypatch.setattr(distilled, "balanced", lambda parts, w: weights.append(w) or balanced(parts, w))
    memory = DistilledMemory("random", "2-per-class")
    parts = partitions.iid(few_digits, 5, seed=0)
    for part in parts[:2]:
        memory.observe(part)
    assert weights == [] and len(memory.kept) == 2
    with pytest.warns(DistillationWarning, match="into one"):
        memory.observe(parts[2])
    every = few_digits.spec.classes
    assert weights == [[dict.fromkeys(every, 1)] * 3] and len(memory.kept) == 1
    memory.observe(parts[3])
    memory.observe(parts[4])
    # The summary of three is shared with the fourth; then both and the fifth are joined.
    assert weights[1] == [dict.fromkeys(every, 2), dict.fromkeys(every, 2), dict.fromkeys(every, 1)]


@pytest.mark.parametrize("kind", [DistilledMemory, CondensedMemory])
def test_an_error_leaves_the_memory_as_it_was_and_the_first_experience_is_always_one(
    three_tasks: list[dd.TargetData], kind: type[Any]
) -> None:
    settings = {"when_short": "error"} | ({"method": "random"} if kind is DistilledMemory else {"steps": 1})
    memory = kind(memory=3, **settings)
    memory.observe(three_tasks[0])
    before = shas(memory)
    with pytest.raises(BudgetError, match="more memory"):
        memory.observe(three_tasks[1])
    assert (shas(memory), memory.experiences) == (before, 1)
    with pytest.raises(BudgetError, match="more memory"):
        kind(memory=1, **(settings | {"when_short": "keep"})).observe(three_tasks[0])
    with pytest.raises(UnknownNameError, match="when_short"):
        kind(memory=3, **(settings | {"when_short": "drop"}))


def test_where_the_classes_are_known_it_is_decided_before_the_stream_begins() -> None:
    for memory, room in ((5, False), (10, True), ("1-per-class", True), ("65B", True)):
        for kind in (DistilledBuffer, SampleCondensationBuffer):
            kind(memory=memory, num_classes=10)
            if room:
                kind(memory=memory, num_classes=10, when_short="error")
                continue
            with pytest.raises(BudgetError, match="one of each of 10 classes"):
                kind(memory=memory, num_classes=10, when_short="error")


@given(
    sizes=st.lists(
        st.dictionaries(st.integers(0, 4), st.integers(1, 9), min_size=1, max_size=3), min_size=2, max_size=5
    ),
    amount=st.integers(1, 8),
    form=st.sampled_from(["bytes", "bytes-per-class", "examples", "examples-per-class"]),
    kind=st.sampled_from(["each", "together", "joint", "condensed"]),
    method=st.sampled_from(["random", "dm", "idc"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_later_experience_is_an_error_or_loses_a_class(
    digits: dd.TargetData, sizes: list[dict[int, int]], amount: int, form: str, kind: str, method: str
) -> None:
    unit, per_class = form.split("-")[0], form.endswith("class")
    budget = MemoryBudget(amount * (66 if unit == "bytes" else 1), unit, per_class)
    if kind == "condensed":
        memory: Memory = CondensedMemory(budget, steps=1, inner=1, network="convnet(width=2)")
    else:
        memory = DistilledMemory(
            method, budget, joint=kind == "joint", shrink="together" if kind == "together" else "each", **QUICK
        )
    held: set[tuple[int, int]] = set()
    for index, counts in enumerate(sizes):
        chosen = torch.cat([(digits.train.targets == c).nonzero().flatten()[:n] for c, n in counts.items()])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DistillationWarning)
            try:
                memory.observe(digits.with_train(chosen, "piece"))
            except BudgetError:
                assert index == 0
                return
        assert held <= set(memory.counts)
        held = set(memory.counts)
        assert not held & set(memory.left_out)
        assert {(0, c) for counts in sizes[: index + 1] for c in counts} == held | set(memory.left_out)
        stored = memory.stored_bytes if unit == "bytes" else sum(memory.counts.values())
        assert stored <= budget.amount * (len(held) if per_class else 1)


def test_earlier_summaries_are_distilled_together_into_one(three_tasks: list[dd.TargetData]) -> None:
    alone, together = (DistilledMemory("random", 12, shrink=shrink) for shrink in ("each", "together"))
    before: list[tuple[int, ...]] = []
    for task in three_tasks:
        before = images_of(together)
        alone.observe(task)
        together.observe(task)
    assert (len(alone.kept), len(together.kept)) == (3, 2)
    assert alone.counts == together.counts and set(together.counts.values()) == {2}
    assert [kept.experience for kept in together.kept] == [1, 2]
    old = images_of(together)[:8]
    assert len(set(old)) == 8 and set(old) <= set(before)
    with pytest.raises(UnknownNameError, match="shrink"):
        DistilledMemory("random", shrink="all")


def test_what_has_no_room_stays_out_when_the_memory_is_read_again(
    three_tasks: list[dd.TargetData], tmp_path: Path
) -> None:
    memories = [DistilledMemory("random", 5, directory=tmp_path) for _ in range(2)]
    for memory in memories:
        with pytest.warns(DistillationWarning, match="no room"):  # noqa: PT031
            for task in three_tasks:
                memory.observe(task)
    assert shas(memories[0]) == shas(memories[1])
    assert memories[0].left_out == memories[1].left_out != ()
    assert memories[1].seconds_saved > 0


def test_an_experience_ends_by_the_clock_whatever_is_distilled_in_it(
    three_tasks: list[dd.TargetData], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    with monkeypatch.context() as patched:
        patched.setattr(pacing.time, "monotonic", lambda: now[0])
        deadline, given = Deadline(60.0, 3), []
        for spent in (20.0, 5.0, 90.0):
            given.append(deadline.next())
            now[0] += spent
    assert given == [20.0, 20.0, 35.0]
    assert deadline.next() == 0.0  # one more than was said
    assert Deadline(None, 1).next() is None
    assert most_seconds(None, "cpu") == CPU_SECONDS
    assert most_seconds(math.inf, "cpu") is None and most_seconds(7.0, "cpu") == 7.0
    memory = DistilledMemory("dm", 8, network="convnet(width=2)", max_seconds=1e-9)
    memory.observe(three_tasks[0])
    assert memory.kept[0].summary.record["steps"] == 0


def test_pieces_of_an_experience_share_its_seconds(
    three_tasks: list[dd.TargetData], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    distilled = DistilledMemory._distilled

    def watched(self: DistilledMemory, job: Any, max_seconds: float) -> Any:
        given.append(max_seconds)
        return distilled(self, job, max_seconds)

    monkeypatch.setattr(DistilledMemory, "_distilled", watched)
    size = len(three_tasks[0].train)
    memory = DistilledMemory("dm", 8, joint=True, chunk=-(-size // 4), max_seconds=1000.0, **QUICK)
    memory.observe(three_tasks[0])
    # What the first ones did not need, the others have.
    assert given == pytest.approx([1000 / 4, 1000 / 3, 1000 / 2, 1000], abs=20)


def test_the_time_is_said_after_the_first_steps_and_then_what_is_done() -> None:
    said: list[str] = []

    def steps(limit: float | None, pace: float, count: int) -> None:
        watch = Pace("dm, experience 1", limit, said.append)
        for step in range(1, count + 1):
            state = dd.Progress(step, 1000, torch.tensor(0.0), 1 + pace * step, lambda: None)  # type: ignore[arg-type, return-value]
            watch(state)

    steps(60.0, 0.5, 70)
    assert said == [
        "dm, experience 1: about 8 min for 1000 steps; it ends after 60 s, with the steps it has (max_seconds=)",
        "dm, experience 1: 65 of 1000 steps, about 8 min left",
    ]
    said.clear()
    steps(None, 0.5, 6)
    assert said == ["dm, experience 1: about 8 min for 1000 steps"]
    said.clear()
    steps(60.0, 0.004, 1000)
    assert said == []


def test_lines_go_where_they_are_wanted(
    three_tasks: list[dd.TargetData], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pacing, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(pacing, "SHORT_SECONDS", 0.0)
    heard: list[str] = []
    for progress in (None, False, heard.append, True):
        memory = DistilledMemory("dm", 4, network="convnet(width=2)", steps=3, progress=progress)
        memory.observe(three_tasks[0])
        printed = capsys.readouterr()
        assert printed.out == ""
        assert ("experience 1, task-0: about" in printed.err) == (progress is None)
        assert ("3/3 steps" in printed.err) == (progress is True)
    assert len(heard) == 1 and heard[0].startswith("dm, experience 1, task-0: about")
