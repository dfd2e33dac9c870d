"""``auto``: what it takes, on rankings whose right choice is known, and the folder it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import ddcore as dd
from ddapps.cli.main import main
from ddapps.nas import FREE, ProxyDataset, Ranking, Truth, make_proxy
from ddapps.nas import make as module
from ddapps.nas.auto import Choice, chosen
from ddapps.nas.compared import agreements
from ddapps.nas.outcomes import Row
from ddcore.errors import InputDataError
from tests.nas.conftest import SHORT, Tiny

COUNT = 24
TRUE = [float(place) for place in range(COUNT)]
BACKWARDS = TRUE[::-1]


def ranking(scores: Mapping[str, list[float]], rivals: Mapping[str, tuple[str, ...]] | None = None) -> Ranking:
    """Return a ranking whose test split is the validation split backwards.

    What is chosen by it is wrong.
    """
    each = {name: [mine] for name, mine in scores.items()}
    on_validation, on_test = agreements(each, TRUE, [1]), agreements(each, BACKWARDS, [1])
    rows = tuple(Row(name, each[name], 1.0, 0.0, on_test[name], on_validation[name]) for name in scores)
    truth = Truth("train", tuple((t,) for t in BACKWARDS), (9.0,) * COUNT, tuple((t,) for t in TRUE))
    return Ranking("known", "space", tuple(map(str, range(COUNT))), truth, rows, {}, {}, rivals or {})


def noisy(scale: float, seed: int) -> list[float]:
    noise = np.random.default_rng(seed).normal(size=COUNT)
    return [true + scale * float(each) for true, each in zip(TRUE, noise, strict=True)]


def test_the_leader_is_taken_only_where_the_paired_interval_is_above_random_images() -> None:
    far = chosen(ranking({"dm": noisy(1, 0), "random": noisy(40, 1)}), ["dm"], ["random"])
    assert (far.chosen, far.leader) == ("dm", "dm") and far.beaten["random"]["ci95"][0] > 0
    assert "ranks better than random images" in far.why
    near = chosen(ranking({"dm": noisy(4, 2), "random": noisy(7, 3)}), ["dm"], ["random"])
    assert near.beaten["random"]["difference"] > 0 > near.beaten["random"]["ci95"][0]
    assert (near.chosen, near.leader) == ("random", "dm") and "Nothing is shown to rank better" in near.why
    assert f"dm minus random: {near.beaten['random']['difference']:+.2f}" in near.why


def test_random_images_at_the_whole_cost_must_be_beaten_too() -> None:
    scores = {"dm": noisy(1, 0), "random": noisy(40, 1), "random:50": noisy(1, 2)}
    rivals = {"dm": ("random:50",)}
    assert chosen(ranking(scores, rivals), ["dm"], ["random"]).chosen == "random"
    scores["random:50"] = noisy(40, 3)
    found = chosen(ranking(scores, rivals), ["dm"], ["random"])
    assert found.chosen == "dm" and {*found.beaten} == {"random", "random:50"}


def test_the_best_of_each_side_by_the_validation_split_is_compared() -> None:
    scores = {"dm": noisy(9, 0), "herding": noisy(0.1, 1), "random a": noisy(60, 2), "random b": noisy(0.2, 3)}
    found = chosen(ranking(scores), ["dm", "herding"], ["random a", "random b"])
    assert found.leader == "herding" and {*found.beaten} == {"random b"} and found.chosen == "random b"


def test_a_free_score_that_is_as_good_is_named() -> None:
    scores = {"dm": noisy(1, 0), "random": noisy(40, 1), "parameters": TRUE}
    assert "`parameters` has a tau of 1.00" in chosen(ranking(scores), ["dm"], ["random"]).why
    assert "parameters" not in chosen(ranking(scores | {"parameters": BACKWARDS}), ["dm"], ["random"]).why


def test_where_one_side_ranks_nothing_the_other_is_taken() -> None:
    assert chosen(ranking({"dm": TRUE}), ["dm"], ["random"]).chosen == "dm"
    assert chosen(ranking({"random": TRUE}), ["dm"], ["random"]).chosen == "random"
    with pytest.raises(InputDataError, match="no score ranks"):
        chosen(ranking({"parameters": TRUE}), ["dm"], ["random"])


@pytest.fixture(scope="module")
def made(digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> tuple[ProxyDataset, Path]:
    directory = tmp_path_factory.mktemp("auto") / "proxy"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "plot", lambda *_: [])  # tested elsewhere, and slow
        return made_by_auto(digits, directory), directory


def made_by_auto(digits: dd.TargetData, directory: Path, seeds: int = 1) -> ProxyDataset:
    return make_proxy(
        digits,
        Tiny(),
        "auto",
        ipc=2,
        pool=2,
        pilot=3,
        seeds=seeds,
        sample=4,
        steps=1,
        protocol=SHORT,
        full=SHORT,
        workers=1,
        directory=directory,
    )


def test_auto_compares_all_that_it_names_and_writes_what_it_chose(made: tuple[ProxyDataset, Path]) -> None:
    proxy, directory = made
    rows = {row["name"] for row in proxy.evidence["proxies"]}
    for base in ("random:2", "herding:2", "dm:2(pool=2)"):
        start = base.removesuffix(")")
        assert any(name.startswith(start) and "averaged" in name for name in rows), base
        assert f"combined:3(of={base},averaged=True)" in rows | {*proxy.evidence["unranked"]}
    assert {*FREE} <= rows | {*proxy.evidence["unranked"]}
    choice = proxy.evidence["choice"]
    assert choice["chosen"] in rows and choice["why"]
    assert proxy.evidence["equal_cost"].keys() <= {choice["leader"]}
    assert f"**Chosen by `auto`: `{choice['chosen']}`.** {choice['why']}" in (directory / "README.md").read_text()
    assert choice["why"] in str(proxy) and proxy.to_json()["choice"] == choice
    loaded = ProxyDataset.load(directory)
    assert (loaded.combination is not None) == choice["chosen"].startswith("combined")
    assert (loaded.score == "combined") == (loaded.combination is not None)
    method = loaded.summaries[0].record["method"]["name"]
    assert method in choice["chosen"]


def test_a_combination_that_is_chosen_is_the_one_that_ranked(
    digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "combined:3(of=herding:2,averaged=True)"
    monkeypatch.setattr(module, "chosen", lambda *_: Choice(wanted, "It was told so.", {}, wanted))
    monkeypatch.setattr(module, "plot", lambda *_: [])
    made = made_by_auto(digits, tmp_path, seeds=2)
    row = next(row for row in made.evidence["proxies"] if row["name"] == wanted)
    assert made.combination is not None and [made.combination.to_json()] == row["combinations"]
    assert len(made.summaries) == 2 and made.summaries[0].record["method"]["name"] == "herding"
    assert np.isfinite(ProxyDataset.load(tmp_path).evaluator(digits)(Tiny().sample(1)[0]))


def test_the_commands_pass_on_what_they_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ddapps.nas as nas

    asked: dict[str, object] = {}

    class EnoughError(dd.errors.DistillationError):
        """Ends a command where it would begin to work."""

    def noted(*arguments: object, **settings: object) -> None:
        asked.update(settings, arguments=arguments)
        raise EnoughError("enough")

    monkeypatch.setattr(nas, "make_proxy", noted)
    monkeypatch.setattr(nas, "rank", noted)
    making = ["nas", "make-proxy", "digits", "--out", str(tmp_path / "proxy"), "--method", "auto"]
    for words, name, value in (
        (making, "pilot", None),
        ([*making, "--pilot", "7"], "pilot", 7),
        (["nas", "rank", "digits"], "equal_cost", False),
        (["nas", "rank", "digits", "--equal-cost"], "equal_cost", True),
    ):
        asked.clear()
        main(words)
        assert asked.get(name) == value, words
        if name == "pilot":
            assert asked["arguments"][2] == "auto"  # type: ignore[index]
