"""Searches, proxy datasets, and their commands."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddapps.cli.main import main
from ddapps.nas import FREE, FULL, Found, ProxyDataset, ProxyEvaluator, as_space, make_proxy, rank, search
from ddapps.nas.dataset import RECORDED_SINCE, _protocol, _protocol_json, open_proxy
from ddapps.nas.nni_package import require_nni
from ddapps.nas.rank import with_validation
from ddcore.errors import (
    CheckpointError,
    InputDataError,
    OutputExistsError,
    SettingsError,
    SummaryFormatError,
    UnknownNameError,
    UnsupportedError,
)
from ddcore.evaluation import PROTOCOLS, Protocol
from ddcore.training import Training
from tests.nas.conftest import SHORT, Tiny


def searched(digits: dd.TargetData, summary: dd.DataSummary, **changes: object) -> Found:
    settings: dict[str, object] = {"trials": 6, "top": 2, "full": SHORT.with_epochs(5), **changes}
    space = settings.pop("space", Tiny())
    return search(space, ProxyEvaluator(summary, digits, SHORT), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["evolution", "random"])
def test_a_search_scores_by_the_proxy_and_trains_the_best(
    digits: dd.TargetData, summary: dd.DataSummary, strategy: str
) -> None:
    found = searched(digits, summary, strategy=strategy)
    evaluator = ProxyEvaluator(summary, digits, SHORT)
    assert len(found.tried) == 6 and len({tried.candidate for tried in found.tried}) == len(found.tried)
    assert [tried.score for tried in found.tried[:2]] == [evaluator(tried.candidate) for tried in found.tried[:2]]
    best = sorted((tried.score for tried in found.tried), reverse=True)[:2]
    assert sorted((f.score for f in found.finalists), reverse=True) == best
    assert found.finalists[0].validation >= found.finalists[1].validation
    full = ProxyEvaluator(digits, digits, SHORT.with_epochs(5), split="test")
    assert found.finalists[0].test == full(found.finalists[0].candidate)
    entry = found.to_json()
    assert entry["trials"] == len(found.tried) and entry["failed"] == {}
    assert [f.label for f in (t.candidate for t in found.tried)] == [
        t.candidate.label for t in searched(digits, summary, strategy=strategy).tried
    ]


def test_a_strategy_of_nni_and_a_search_that_goes_on(
    digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_nni()
    from nni.nas.strategy import GridSearch

    first = searched(digits, summary, strategy=GridSearch(seed=1), trials=20, directory=tmp_path)
    assert len(first.tried) == 8, "the whole space"
    assert first.strategy == "GridSearch"
    monkeypatch.setattr(ProxyEvaluator, "measure", lambda *_: pytest.fail("scored again"))
    again = searched(digits, summary, strategy=GridSearch(seed=1), trials=20, directory=tmp_path)
    assert [tried.score for tried in again.tried] == [tried.score for tried in first.tried]


def test_failed_candidates_are_recorded_and_the_search_goes_on(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    logger = logging.getLogger("nni")
    level = logger.level
    found = searched(digits, summary, space=Tiny(failing="none"), trials=8, strategy="random")
    failed = found.to_json()["failed"]
    assert len(found.tried) == 8 and len(failed) == 4
    assert all("this one crashes" in reason for reason in failed.values())
    assert all(finalist.candidate.choices["norm"] == "instance" for finalist in found.finalists)
    assert logger.level == level


def test_errors_that_are_no_candidates_end_the_search(
    digits: dd.TargetData, summary: dd.DataSummary, tmp_path: Path
) -> None:
    searched(digits, summary, directory=tmp_path)
    other = ProxyEvaluator(summary, digits, SHORT, seed=1)
    with pytest.raises(OutputExistsError, match="seed differ"):
        search(Tiny(), other, trials=6, directory=tmp_path)
    damaged = next(tmp_path.glob("width*.json"))
    damaged.write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        searched(digits, summary, directory=tmp_path)
    with pytest.raises(SettingsError, match="chooses by the validation split"):
        search(Tiny(), ProxyEvaluator(summary, digits, SHORT, split="test"))


def test_a_search_in_which_all_fail_says_why(digits: dd.TargetData, summary: dd.DataSummary) -> None:
    require_nni()
    from nni.nas.strategy import DARTS
    from nni.nas.strategy.base import Strategy

    with pytest.raises(InputDataError, match=r"no candidate could be scored: .*always"):
        searched(digits, summary, space="tests.nas.test_rank:Broken", trials=3)

    class Lost(Strategy):  # type: ignore[misc]
        def _run(self) -> None:
            raise ZeroDivisionError("lost")

    with pytest.raises(ZeroDivisionError, match="lost"):
        searched(digits, summary, strategy=Lost())
    for other in (Lost, DARTS()):
        with pytest.raises(UnsupportedError, match="an instance of a multi-trial strategy"):
            searched(digits, summary, strategy=other)
    with pytest.raises(UnknownNameError, match="unknown strategy 'wish'"):
        searched(digits, summary, strategy="wish")


@pytest.fixture(scope="module")
def made(digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> tuple[ProxyDataset, Path]:
    directory = tmp_path_factory.mktemp("proxy") / "tiny"
    return build(digits, directory), directory


def build(digits: dd.TargetData, directory: Path) -> ProxyDataset:
    return make_proxy(
        digits,
        Tiny(),
        "dm",
        ipc=2,
        pool=3,
        score="loss",
        seeds=2,
        sample=4,
        protocol=SHORT,
        full=SHORT,
        steps=2,
        workers=1,
        directory=directory,
    )


def test_a_proxy_dataset_comes_with_its_evidence(digits: dd.TargetData, made: tuple[ProxyDataset, Path]) -> None:
    proxy, directory = made
    assert len(proxy.summaries) == 2 and proxy.summaries[0].sha256() != proxy.summaries[1].sha256()
    names = "dm:2(pool=3,score=loss,averaged=True),random:2(score=loss,averaged=True)"
    found = rank(digits, Tiny(), names, sample=4, seeds=2, protocol=SHORT, full=SHORT, steps=2, workers=1).to_json()
    assert [row["scores"] for row in proxy.evidence["proxies"]] == [row["scores"] for row in found["proxies"]]
    card = (directory / "README.md").read_text()
    row = proxy.evidence["proxies"][0]
    assert f"| {row['name']} | {row['validation']['tau']} | {row['tau']} |" in card
    assert len(list(directory.glob("*.png"))) == 2 + len(FREE)
    loaded = ProxyDataset.load(directory)
    assert loaded.protocol == SHORT and loaded.space == "tiny(failing=)" and loaded.evidence == proxy.evidence
    assert [s.sha256() for s in loaded.summaries] == [s.sha256() for s in proxy.summaries]
    candidate = Tiny().sample(1)[0]
    assert loaded.evaluator(digits)(candidate) == ProxyEvaluator(proxy.summaries, digits, SHORT, "loss")(candidate)
    with pytest.raises(OutputExistsError, match=r"holds proxy\.json already"):
        build(digits, directory)


def test_a_proxy_is_for_its_space(made: tuple[ProxyDataset, Path], tmp_path: Path) -> None:
    _, directory = made
    with pytest.raises(SettingsError, match="was made for the space tiny"):
        open_proxy(directory, "convnet")
    plain = open_proxy(directory / "summary-0", "convnet")
    assert len(plain.summaries) == 1 and plain.space == "convnet(width_divisor=8)"


def test_a_proxy_is_for_its_data_and_schedule(digits: dd.TargetData, made: tuple[ProxyDataset, Path]) -> None:
    with pytest.raises(InputDataError, match="made of other data"):
        made[0].evaluator(digits.with_train(torch.arange(100), "digits"))
    with pytest.raises(SettingsError, match="without augmentation"):
        ProxyDataset(made[0].summaries, "tiny", PROTOCOLS["dsa"])


def test_the_card_names_what_has_no_row(made: tuple[ProxyDataset, Path]) -> None:
    evidence = {**made[0].evidence, "unranked": {"dm:2": "all proxy scores are 10"}, "failed": {"width=4": "diverged"}}
    card = replace(made[0], evidence=evidence).card()
    assert "No row: dm:2: all proxy scores are 10" in card and "Left out: width=4: diverged" in card


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 2},
        {"protocol": {"name": "x"}},
        {"protocol": {"name": "x", "epochs": -1}},
        {"sha256": ["0" * 64, "0" * 64]},
        {"sha256": []},
        {"sha256": 3},
        {"evidence": 7},
        {"full": {}},
        {"score": "speed"},
        {"made_for": {"space": 1}},
    ],
)
def test_damaged_proxy_datasets_are_refused(
    made: tuple[ProxyDataset, Path], tmp_path: Path, damage: dict[str, object]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made[1], copy)
    facts = json.loads((copy / "proxy.json").read_text())
    (copy / "proxy.json").write_text(json.dumps({**facts, **damage}))
    with pytest.raises(SummaryFormatError):
        ProxyDataset.load(copy)


def test_what_cannot_be_made_is_said_before_anything_is_distilled(
    digits: dd.TargetData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dd, "distill", lambda *_, **__: pytest.fail("distilled"))
    with pytest.raises(SettingsError, match="at least 3"):
        make_proxy(digits, Tiny(), sample=2, directory=tmp_path)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"holds README\.md already"):
        make_proxy(digits, Tiny(), directory=tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["digits", "--space", "tests.nas.test_spaces:Kernels", "--quiet"]
    brief = ["--epochs", "1", "--proxy-epochs", "10", "--seeds", "1", "--workers", "1"]
    out = tmp_path / "proxy"
    assert (
        main(
            [
                "nas",
                "make-proxy",
                *words,
                *brief,
                "--method",
                "random",
                "--ipc",
                "3",
                "--sample",
                "3",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert "random proxy of digits for the space `Kernels`" in capsys.readouterr().out
    pictures = tmp_path / "new" / "pictures"
    ranked = ["nas", "rank", *words, *brief, "--sample", "4", "--proxies", "random:3,early-stop:0.9", "--json", "-"]
    assert main([*ranked, "--png", str(pictures)]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["truth"]["n"] == 4 and [row["name"] for row in entry["proxies"]] == [
        "random:3",
        "early-stop:0.9",
        *FREE,
    ]
    assert {"tau", "tau_ci95", "rho", "rho_ci95", "regret_at_1", "seconds_per_candidate", "speedup"} <= set(
        entry["proxies"][0]
    )
    assert len(list(pictures.glob("*.png"))) == 2 + len(FREE)
    file = tmp_path / "json" / "found.json"
    searching = ["nas", "search", *words, "--proxy", str(out), "--trials", "3", "--top", "1", "--epochs", "1"]
    assert main([*searching, "--json", str(file)]) == 0
    assert "the same search on the full data" in capsys.readouterr().out
    (entry,) = json.loads(file.read_text())["found"]
    target, full = with_validation(dd.load_data("digits")), FULL.with_epochs(1)
    candidate = as_space("tests.nas.test_spaces:Kernels").candidate(entry["choices"])
    for split in ("validation", "test"):
        expected = ProxyEvaluator(target, target, full, split=split)(candidate)
        assert entry[f"{split}_accuracy"] == pytest.approx(expected, abs=1e-3)
    assert main(["nas", "search", "digits", "--space", "convnet", "--proxy", str(out)]) == 2
    assert "was made for the space Kernels" in capsys.readouterr().err


def test_a_proxy_dataset_records_the_whole_schedule() -> None:
    training = Training(
        updates={10: 4, 100: 7}, optimiser="adam", drop_at=(0.5, 0.75), restart=False, warmup=3, cosine=0.1
    )
    recorded = json.loads(json.dumps(_protocol_json(Protocol("own", training))))
    assert _protocol(recorded).training == training
    older = {name: value for name, value in recorded.items() if name not in RECORDED_SINCE}
    assert _protocol(older).training == Training(drop_at=(0.5, 0.75))
    for wrong in ([3], "x", {"a": 1}):
        with pytest.raises((TypeError, ValueError)):
            _protocol({**recorded, "updates": wrong})
