"""An evaluator that other processes can be sent."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import ddcore as dd
from ddapps.nas import ProxyDataset, ProxyEvaluator, StoredEvaluator, reporting
from ddapps.nas.nni_package import require_nni
from ddapps.nas.rank import with_validation
from ddcore.errors import InputDataError, SummaryFormatError
from tests.forked import run
from tests.nas.conftest import SHORT, Tiny

LIMIT = 64 * 1024
"""Bytes that NNI's default engine sends of a trial at most."""


@pytest.fixture(scope="module")
def target() -> dd.TargetData:
    return dd.load_data("digits")


@pytest.fixture(scope="module")
def folder(target: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    summaries = tuple(dd.distill(target, dd.methods.random(ipc=3), seed=seed) for seed in (0, 1))
    return ProxyDataset(summaries, "tiny", SHORT, "training-loss").save(tmp_path_factory.mktemp("stored") / "proxy")


def test_it_scores_as_the_one_in_memory_and_its_pickle_holds_names_alone(target: dd.TargetData, folder: Path) -> None:
    stored = StoredEvaluator(folder, "digits", settings={"seed": 3})
    candidate = Tiny().sample(1)[0]
    before = pickle.dumps(stored)
    expected = ProxyDataset.load(folder).evaluator(target, seed=3)(candidate)
    assert stored(candidate) == expected and stored.evaluator is stored.evaluator
    assert pickle.dumps(stored) == before and len(before) < 2048
    assert pickle.loads(before)(candidate) == expected
    assert len(pickle.dumps(ProxyEvaluator(ProxyDataset.load(folder).summaries, with_validation(target)))) > LIMIT


def test_nni_sends_it_to_a_trial(folder: Path) -> None:
    require_nni()
    from nni.common.serializer import PayloadTooLarge, dump, load
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.space import SimplifiedModelSpace

    space = Tiny().model_space((1, 8, 8), 10)
    stored = StoredEvaluator(folder, "digits")
    sent = SimplifiedModelSpace.from_model(space, FunctionalEvaluator(reporting(stored)))
    text = dump(sent.freeze(Tiny().sample(1)[0].choices), pickle_size_limit=LIMIT)
    assert len(text) < LIMIT and load(text).evaluator.function == reporting(stored)
    held = SimplifiedModelSpace.from_model(space, FunctionalEvaluator(reporting(stored.evaluator)))
    with pytest.raises(PayloadTooLarge):
        dump(held.freeze(Tiny().sample(1)[0].choices), pickle_size_limit=LIMIT)


def test_paths_hold_in_other_working_directories(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    stored = StoredEvaluator("proxy", "digits")
    monkeypatch.chdir(tmp_path)
    assert len(stored.evaluator.proxies) == 2 and stored.data == "digits"
    for name in ("digits", "mine"):
        (tmp_path / name).mkdir()
    assert StoredEvaluator(folder, "digits").data == "digits", "a folder of that name is another thing"
    assert StoredEvaluator(folder, "mine").data == str(tmp_path / "mine")


def test_a_plain_summary_will_do_and_what_is_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    assert len(StoredEvaluator(folder / "summary-0", "digits").evaluator.proxies) == 1
    with pytest.raises(SummaryFormatError):
        StoredEvaluator(tmp_path, "digits")(Tiny().sample(1)[0])
    with pytest.raises(InputDataError):
        StoredEvaluator(folder, "nowhere.npz")(Tiny().sample(1)[0])


def score(sent: Path) -> None:
    evaluator, candidate = pickle.loads(sent.read_bytes())
    print(repr(evaluator(candidate)), flush=True)


def test_another_process_gives_the_same_score(folder: Path, tmp_path: Path) -> None:
    stored, candidate = StoredEvaluator(folder, "digits"), Tiny().sample(1)[0]
    (tmp_path / "sent").write_bytes(pickle.dumps((stored, candidate)))
    assert float(run(score, tmp_path / "sent", said=tmp_path / "said")) == stored(candidate)
