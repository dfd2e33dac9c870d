"""The choice: never by test data, never below random selection, within its bytes and its time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import ddcore as dd
from ddcore.choosing import Candidate, codecs, contest
from ddcore.errors import BudgetError, DivergenceError, SettingsError
from ddcore.factorization import Compressed
from ddcore.images import LowResolution
from ddcore.parts import Split

NETWORK = "convnet(width=4)"


@pytest.fixture(autouse=True)
def short_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "RUNGS", ((20, 0.5, 1), (40, 1.0, 3)))
    monkeypatch.setattr(contest, "TEACHING_UPDATES", 20)


def candidate(rule: str, storage: str = "8 px, 4 levels", levels: int = 4, size: int = 8) -> Candidate:
    codec = Compressed(LowResolution(ipc=1, size=size), levels=levels)
    steps = 20 if rule == "dm" else 0

    def build() -> dd.Method:
        method = dd.choosing.through(rule, codec)
        return method.with_steps(steps) if steps else method

    return Candidate(f"{rule} ({storage})", rule, storage, build)


def garbage() -> Candidate:
    """A method whose examples are noise."""
    noise = Compressed(LowResolution(ipc=1, size=8, init="noise"), levels=4)
    return Candidate("noise", "noise", "8 px, 4 levels", lambda: replace(dd.methods.random(ipc=1), factorization=noise))


def test_the_best_on_validation_data_is_taken_and_the_record_says_why(few_digits: dd.TargetData) -> None:
    found = dd.choose_method(
        few_digits, nbytes=300, network=NETWORK, candidates=[candidate("random"), garbage(), candidate("k_means")]
    )
    record = found.record()
    assert json.loads(json.dumps(record)) == record
    assert record["chosen"] == found.name != "noise"
    assert record["validation_examples"] == 24 and record["bytes"] == 300
    assert set(record["rungs"][0]["scores"]) == {"random (8 px, 4 levels)", "noise", "k_means (8 px, 4 levels)"}
    assert record["rungs"][0]["scores"]["noise"][0] < record["score"]
    assert record["runner_up"] in record["rungs"][-1]["scores"] and record["runner_up"] != record["chosen"]
    summary = found.distill(few_digits, progress=False)
    assert 0.7 * 300 < summary.stored_bytes <= 300
    assert summary.record["chosen"] == record


def test_random_selection_stays_where_nothing_is_above_it(few_digits: dd.TargetData) -> None:
    found = dd.choose_method(
        few_digits, nbytes=300, network=NETWORK, candidates=[candidate("random"), garbage(), garbage()]
    )
    assert found.name == "random (8 px, 4 levels)"


def test_test_data_are_never_read(few_digits: dd.TargetData) -> None:
    assert few_digits.test is not None
    others = replace(few_digits, test=Split(255 - few_digits.test.inputs, few_digits.test.targets.flip(0)))
    one, other = (
        dd.choose_method(target, nbytes=300, network=NETWORK, candidates=[candidate("random"), candidate("herding")])
        for target in (few_digits, others)
    )
    assert [rung.scores for rung in one.rungs] == [rung.scores for rung in other.rungs]


def test_the_validation_split_of_the_data_decides_where_there_is_one(few_digits: dd.TargetData) -> None:
    target = few_digits.with_validation(0.5, seed=3)
    found = dd.choose_method(
        target, nbytes=300, network=NETWORK, candidates=[candidate("random"), candidate("herding")]
    )
    assert found.record()["validation_examples"] == len(target.validation) == 60  # type: ignore[arg-type]
    largest = found.method.factorization.counts_for(target.counts())
    assert max(largest.values()) <= 20


def test_too_few_bytes_or_seconds_say_so(few_digits: dd.TargetData) -> None:
    with pytest.raises(BudgetError, match=r"in 5 bytes \(random .*: "):
        dd.choose_method(few_digits, nbytes=5, network=NETWORK, candidates=[candidate("random"), candidate("herding")])
    with pytest.raises(SettingsError, match="max_seconds more"):
        dd.choose_method(
            few_digits, nbytes=300, max_seconds=1e-9, network=NETWORK, candidates=[candidate("random"), candidate("dm")]
        )
    with pytest.raises(SettingsError, match="no candidate"):
        dd.choose_method(few_digits, nbytes=300, candidates=[])


def test_time_that_runs_out_leaves_the_best_so_far(few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(i) for i in range(10_000))
    monkeypatch.setattr(contest.time, "monotonic", lambda: next(clock))
    found = dd.choose_method(
        few_digits,
        nbytes=300,
        max_seconds=40,
        network=NETWORK,
        candidates=[candidate("random"), candidate("herding"), garbage(), candidate("k_means")],
    )
    assert found.stopped_early and found.name != "noise"


def test_a_distillation_ends_with_the_time_of_the_choice(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def distill(target: dd.TargetData, method: dd.Method, **how: object) -> dd.DataSummary:
        given.append(how["max_seconds"])
        return dd.distill(target, method, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(contest, "distill", distill)
    for most in (None, 50.0):
        dd.choose_method(few_digits, nbytes=300, network=NETWORK, max_seconds=most, candidates=[candidate("random")])
    within = [left for left in given if isinstance(left, float)]
    assert given.count(None) == len(within) > 0
    assert all(0 < left <= 50 for left in within) and within == sorted(within, reverse=True)


@pytest.mark.parametrize("stop", range(1, 14))
def test_whenever_time_runs_out_the_best_of_those_compared_last_is_taken(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Three storages of random selection come first. Whoever is no better than it is not taken."""
    worth = {"random (a)": 50.0, "random (b)": 60.0, "random (c)": 40.0, "herding (b)": 60.0, "k_means (b)": 60.0}
    done: list[str] = []

    def score(self: contest.Contest, candidate: Candidate, updates: int, share: float, runs: int) -> tuple[float, ...]:
        done.append(candidate.name)
        return (worth[candidate.name.removesuffix(", soft labels")],) * runs

    monkeypatch.setattr(contest.Contest, "_score", score)
    monkeypatch.setattr(contest.Contest, "seconds", property(lambda self: float(len(done))))
    found = dd.choose_method(
        few_digits,
        nbytes=300,
        max_seconds=stop - 0.5,
        network=NETWORK,
        candidates=[candidate(*name.removesuffix(")").split(" (")) for name in worth],
    )
    assert found.name == ("random (a)" if stop == 1 else "random (b)")
    assert found.name in found.rungs[-1].scores and all(rung.scores for rung in found.rungs)
    assert found.record()["score"] == worth[found.name]
    assert found.stopped_early == (stop < 13)


@pytest.mark.parametrize(("worth", "joint"), [(61.0, True), (60.0, True), (61.0, False)])
def test_labels_of_a_teacher_are_taken_where_they_are_better(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, worth: float, joint: bool
) -> None:
    """Two storages of random selection are left; the second is better under a teacher's labels."""
    known = {"random (a)": 60.0, "random (b)": 50.0, "random (a), soft labels": 59.0, "random (b), soft labels": worth}

    def score(self: contest.Contest, candidate: Candidate, updates: int, share: float, runs: int) -> tuple[float, ...]:
        return (known[candidate.name],) * runs

    monkeypatch.setattr(contest.Contest, "_score", score)
    found = dd.choose_method(
        few_digits,
        nbytes=300,
        network=NETWORK,
        joint=joint,
        candidates=[candidate("random", "a", levels=16), candidate("random", "b", levels=2)],
    )
    taken = joint and worth > 60
    assert found.name == ("random (b), soft labels" if taken else "random (a)")
    assert found.record()["score"] == (worth if taken else 60)
    assert len(found.rungs[-1].scores) == (4 if joint else 2)
    summary = found.distill(few_digits, progress=False)
    assert 0.7 * 300 < summary.stored_bytes <= 300
    targets = summary.tensors()[1]
    assert (targets.dtype.is_floating_point and targets.shape[1] == 10) == taken
    if taken:
        assert torch.allclose(targets.sum(dim=1), torch.ones(len(targets)))
        assert found.method.factorization.nbytes == 300 - found.method.labels.max_bytes(len(targets), few_digits.spec)


@pytest.mark.parametrize("sample", [False, True])
def test_of_a_sample_no_candidate_stores_everything(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, sample: bool
) -> None:
    """Where all examples fit, those that take more bytes each look better than they are."""
    held: list[int] = []

    def distill(target: dd.TargetData, method: dd.Method, **how: object) -> dd.DataSummary:
        made = dd.distill(target, method, **how)  # type: ignore[arg-type]
        held.append(sum(made.counts.values()))
        return made

    monkeypatch.setattr(contest, "distill", distill)
    storages = [candidate("random"), candidate("random", "8 px, 2 levels", levels=2)]
    found = dd.choose_method(few_digits, nbytes=6000, network=NETWORK, joint=False, sample=sample, candidates=storages)
    left = len(few_digits.with_validation(0.2).train)
    assert 0.2 * left < max(held) <= 0.5 * left if sample else max(held) == left
    chosen = found.method.factorization.counts_for(few_digits.counts())
    assert sum(chosen.values()) == len(few_digits.train) and found.method.factorization.nbytes == 6000  # type: ignore[attr-defined]


def test_networks_of_the_last_rung_learn_examples_of_seeds_of_their_own(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is selected is selected once for all rungs; what is matched takes its share of steps."""
    made: list[tuple[str, object, object]] = []

    def distill(target: dd.TargetData, method: dd.Method, **how: object) -> dd.DataSummary:
        made.append((method.name, how["seed"], how["steps"]))
        return dd.distill(target, method, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(contest, "distill", distill)
    # All are equal, so that the first two of them go on.
    monkeypatch.setattr(contest.Contest, "_reached", lambda self, summary, protocol, seed: 50.0)
    candidates = [candidate("random"), candidate("dm"), candidate("k_means")]
    dd.choose_method(few_digits, nbytes=300, seed=5, network=NETWORK, joint=False, candidates=candidates)
    assert sorted(seed for name, seed, _ in made if name == "random") == [5, 6, 7]
    steps = [(seed, steps) for name, seed, steps in made if name.startswith("dm")]
    assert steps == [(5, 10), (5, 20), (6, 20), (7, 20)]


@pytest.mark.parametrize(
    ("random", "other", "taken"),
    [
        ((92.0, 94.0, 75.0), (93.0, 92.0, 94.0), True),  # it is random selection that scatters
        ((92.0, 92.0, 92.5), (99.0, 85.0, 93.0), False),  # the other scatters
        ((80.0, 90.0, 70.0), (81.0, 91.0, 71.5), True),  # both do, alike
        ((92.0, 93.0, 91.0), (92.0, 93.0, 91.0), False),
    ],
)
def test_scatter_speaks_against_the_one_that_scatters(
    few_digits: dd.TargetData,
    monkeypatch: pytest.MonkeyPatch,
    random: tuple[float, ...],
    other: tuple[float, ...],
    taken: bool,
) -> None:
    known = {"random (8 px, 4 levels)": random, "herding (8 px, 4 levels)": other}
    monkeypatch.setattr(contest.Contest, "_score", lambda self, c, updates, share, runs: known[c.name][:runs])
    candidates = [candidate("random"), candidate("herding")]
    found = dd.choose_method(few_digits, nbytes=300, network=NETWORK, joint=False, candidates=candidates)
    assert (found.name == "herding (8 px, 4 levels)") == taken


def test_the_portfolio_has_every_method_in_every_storage(few_digits: dd.TargetData) -> None:
    names = dd.portfolio(few_digits.spec)
    storages = codecs(few_digits.spec)
    assert {
        f"{rule} ({words})" for rule in ("random", "herding", "k_center", "k_means", "dm") for words in storages
    } < set(names)
    assert "linba" in names and "linba" not in dd.portfolio(few_digits.spec, joint=False)
    for name, entry in names.items():
        method = dd.fitted(entry.build(), few_digits, 400)
        assert method.factorization.max_bytes(few_digits.spec, few_digits.counts()) <= 400, name


def test_portfolios_of_other_data_have_what_serves_them() -> None:
    iris = dd.load_data("iris")
    assert set(dd.portfolio(iris.spec)) == {"random", "herding", "k_center", "k_means", "dm"}


def test_fitted_holds_as_many_as_fit_and_keeps_the_limit(few_digits: dd.TargetData) -> None:
    codec = Compressed(LowResolution(ipc=1, size=8), levels=4)
    method = dd.fitted(dd.choosing.through("random", codec), few_digits, 300)
    kept = method.factorization
    assert isinstance(kept, Compressed) and kept.nbytes == 300
    (ipc,) = set(kept.counts_for(few_digits.counts()).values())

    def size(ipc: int) -> int:
        free = replace(method, factorization=replace(kept, nbytes=None).sized(ipc))
        return dd.distill(few_digits, free, progress=False).stored_bytes

    assert size(ipc) <= 300 < 1.1 * size(ipc + 1)
    plain = dd.fitted(dd.methods.random(ipc=1), few_digits, 300)
    assert plain == dd.Budget(300).fit(dd.methods.random(ipc=1), few_digits)
    with pytest.raises(BudgetError, match="one compressed item per class, which takes"):
        dd.fitted(dd.choosing.through("random", codec), few_digits, 8)


def test_more_numbers_than_a_code_holds_are_too_many_examples(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first guess goes beyond them. Fewer examples fit."""
    monkeypatch.setattr("ddcore.factorization.coded.MAX_NUMBERS", 3 * 10 * 64)
    codec = Compressed(LowResolution(ipc=1, size=8), levels=2)
    kept = dd.fitted(dd.choosing.through("random", codec), few_digits, 5000).factorization
    assert set(kept.counts_for(few_digits.counts()).values()) == {10}


@pytest.mark.parametrize("fault", ["diverges", "is late"])
def test_a_choice_outlives_its_teacher(few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    trained: list[object] = []

    def train_teacher(*arguments: object, **words: object) -> None:
        trained.append(arguments)
        raise DivergenceError(3, None)

    monkeypatch.setattr(contest, "train_teacher", train_teacher)
    if fault == "is late":
        monkeypatch.setattr(contest.Contest, "out_of_time", lambda self: len(self.rungs) > 0)
    found = dd.choose_method(few_digits, nbytes=300, network=NETWORK, candidates=[candidate("random")])
    assert found.name == "random (8 px, 4 levels)" and len(trained) == (fault == "diverges")


def test_time_that_runs_out_among_storages_leaves_the_best_of_them(
    few_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(float(i) for i in range(10_000))
    monkeypatch.setattr(contest.time, "monotonic", lambda: next(clock))
    storages = [candidate("random", f"8 px, {levels} levels", levels) for levels in (2, 4, 16)]
    found = dd.choose_method(
        few_digits, nbytes=300, max_seconds=12, network=NETWORK, candidates=[*storages, candidate("herding")]
    )
    assert found.stopped_early and len(found.rungs) == 1
    scores = found.rungs[0].scores
    assert found.name in scores and found.rungs[0].mean(found.name) == max(map(found.rungs[0].mean, scores))


def test_the_method_is_the_one_that_was_scored_network_included(few_digits: dd.TargetData) -> None:
    candidates = [candidate("dm")]
    found = dd.choose_method(few_digits, nbytes=300, network=NETWORK, candidates=candidates)
    assert found.method.networks.architecture == dd.networks.as_architecture(NETWORK)  # type: ignore[attr-defined]
