"""Comparisons of proxies, the truth, tables, and what is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

import ddcore as dd
from ddapps.nas import (
    FREE,
    PROXY,
    Candidate,
    ConvNetSpace,
    Counted,
    EarlyStopping,
    FreeEvaluator,
    Measurement,
    NasBench201,
    ProxyEvaluator,
    Ranking,
    SummaryProxy,
    load_table,
    parse_proxies,
    plot,
    rank,
    rank_correlation,
)
from ddapps.nas import candidates as candidates_module
from ddapps.nas.bench import Bench
from ddapps.nas.candidates import Outcome, crew
from ddcore.errors import (
    BudgetError,
    CheckpointError,
    InputDataError,
    MissingExtraError,
    OutputExistsError,
    SettingsError,
    UnknownNameError,
    UnsupportedError,
)
from ddcore.ground import derive_seed
from ddcore.parts import OneOf
from ddcore.sources import FreshNetworks
from tests.nas.conftest import SHORT, Tiny
from tests.running import started

ROOT = Path(__file__).parents[2]
PROXIES = "random:4,random:4(averaged=True),early-stop:0.5,early-stop:2(score=loss)"


def ranked(digits: dd.TargetData, directory: Path | None = None, **changes: object) -> Ranking:
    settings: dict[str, object] = {
        "proxies": PROXIES,
        "sample": 6,
        "seeds": 2,
        "protocol": SHORT,
        "full": SHORT.with_epochs(5),
        "workers": 1,
        "top": (1, 3),
    }
    space = changes.pop("space", Tiny())
    return rank(digits, space, **{**settings, **changes}, directory=directory)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found(digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ranking, Path]:
    directory = tmp_path_factory.mktemp("rank")
    return ranked(digits, directory), directory


def test_every_number_is_that_of_its_parts(digits: dd.TargetData, found: tuple[Ranking, Path]) -> None:
    ranking, _ = found
    sample = Tiny().sample(6)
    assert ranking.labels == tuple(candidate.label for candidate in sample)
    full = SHORT.with_epochs(5)
    truth = [
        [ProxyEvaluator(digits, digits, full, split="test", seed=seed)(candidate) for seed in (0, 1)]
        for candidate in sample
    ]
    np.testing.assert_allclose(ranking.truth.accuracies, truth, atol=1e-9)
    to_choose_by = [ProxyEvaluator(digits, digits, full)(candidate) for candidate in sample]
    np.testing.assert_allclose(np.array(ranking.truth.validation)[:, 0], to_choose_by, atol=1e-9)
    summaries = [dd.distill(digits, dd.methods.random(ipc=4, preset="cpu"), seed=seed) for seed in (0, 1)]
    scores = [
        [ProxyEvaluator(summary, digits, SHORT, seed=derive_seed(seed, "proxy"))(candidate) for candidate in sample]
        for seed, summary in enumerate(summaries)
    ]
    single, averaged = ranking.rows[0], ranking.rows[1]
    np.testing.assert_allclose(single.scores, scores, atol=1e-9)
    np.testing.assert_allclose(averaged.scores, [np.mean(scores, axis=0)], atol=1e-9)
    means = [fmean(runs) for runs in truth]
    correlation = single.test.correlation
    assert correlation == rank_correlation(scores, means, top=(1, 3))
    assert averaged.seconds == pytest.approx(2 * single.seconds)
    entry = ranking.to_json()["proxies"][0]
    assert ranking.truth.seconds is not None
    assert entry["tau"] == round(correlation.tau, 4)
    assert entry["speedup"] == round(fmean(ranking.truth.seconds) / single.seconds, 2)
    assert entry["tau_minus"]["random:4(averaged=True)"]["difference"] == pytest.approx(
        correlation.tau - averaged.test.correlation.tau, abs=1e-4
    )


def test_early_stopping_trains_on_a_share_or_for_few_epochs(digits: dd.TargetData, tmp_path: Path) -> None:
    bench = Bench(digits, Tiny(), "convnet(width=4)", None, tmp_path)
    half = EarlyStopping(epochs=0.5)
    data = half.data(bench, 0)
    assert isinstance(data, dd.TargetData)
    assert data.counts() == {c: round(0.5 * count) for c, count in digits.counts().items()}
    assert half.protocol(PROXY, SHORT).training == replace(SHORT.training, epochs=1, drop_at=1.0)
    twice = EarlyStopping(epochs=2)
    assert twice.data(bench, 0) is digits and twice.protocol(PROXY, SHORT).training.epochs == 2


def test_what_is_finished_is_not_done_again(
    digits: dd.TargetData, found: tuple[Ranking, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ranking, directory = found
    trained: list[str] = []
    measure = candidates_module.outcome_of

    def counted(evaluator: ProxyEvaluator, candidate: Candidate) -> object:
        trained.append(candidate.label)
        return measure(evaluator, candidate)

    monkeypatch.setattr(candidates_module, "outcome_of", counted)
    assert ranked(digits, directory).to_json() == ranking.to_json() and not trained
    lost = next(directory.glob("truth-on-both-splits-1-*.json"))
    lost.unlink()
    again = ranked(digits, directory)
    assert len(trained) == 1 and again.truth.accuracies == ranking.truth.accuracies
    more = ranked(digits, directory, proxies=f"{PROXIES},early-stop:1")
    assert len(trained) == 1 + 2 * 6 and more.rows[0].scores == ranking.rows[0].scores
    with pytest.raises(OutputExistsError, match="protocol differ"):
        ranked(digits, directory, full=SHORT.with_epochs(4))
    kept = next((directory / "summaries").iterdir())
    other = dd.distill(digits, dd.methods.random(ipc=4), seed=9)
    other.save(kept, overwrite=True)
    with pytest.raises(CheckpointError, match="is not the summary that was kept"):
        ranked(digits, directory)


def test_a_candidate_that_fails_is_left_out_of_all_rows(digits: dd.TargetData) -> None:
    ranking = ranked(digits, space=Tiny(failing="none"), sample=8, seeds=1, proxies="random:4,early-stop:1")
    assert len(ranking.failed) == 4 and all("norm=none" in label for label in ranking.failed)
    assert len(ranking.labels) == 4 and all(len(row.scores[0]) == 4 for row in ranking.rows)
    assert ranking.to_json()["failed"] and "left out: width=4,norm=none" in str(ranking)
    assert ranking.truth.ceiling_tau() is None and "ceiling of tau unknown" in str(ranking)


def measured(monkeypatch: pytest.MonkeyPatch, accuracy: Callable[[ProxyEvaluator, Candidate], float]) -> None:
    """Let candidates have given accuracies, without training, and equal free scores."""

    def outcome(evaluator: ProxyEvaluator | FreeEvaluator, candidate: Candidate) -> Outcome:
        if isinstance(evaluator, FreeEvaluator):
            return Outcome(Counted(1.0, 0.1))
        found = accuracy(evaluator, candidate)
        return Outcome(Measurement(found, 1.0, 1.0, 1.0, 0.1, found))

    monkeypatch.setattr(candidates_module, "outcome_of", outcome)


def test_a_proxy_that_ranks_nothing_has_no_row_and_costs_no_other_one(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {candidate: 10.0 + place for place, candidate in enumerate(Tiny().sample(8))}

    def blind(evaluator: ProxyEvaluator, candidate: Candidate) -> float:
        return 10.0 if isinstance(evaluator.proxies[0], dd.DataSummary) else order[candidate]

    measured(monkeypatch, blind)
    ranking = ranked(digits, proxies="random:4,early-stop:1", seeds=1)
    assert [row.name for row in ranking.rows] == ["early-stop:1"]
    assert ranking.rows[0].test.correlation.tau == pytest.approx(1)
    assert "all proxy scores are 10" in ranking.to_json()["unranked"]["random:4"]
    assert "no row: random:4: all proxy scores are 10" in str(ranking)
    with pytest.raises(InputDataError, match="no proxy ranks these architectures"):
        ranked(digits, proxies="random:4", seeds=1)
    measured(monkeypatch, lambda evaluator, candidate: 50.0)
    with pytest.raises(InputDataError, match="all true scores are 50"):
        ranked(digits, proxies="random:4", seeds=1)


def test_if_all_fail_the_reason_is_told(digits: dd.TargetData) -> None:
    wild = replace(SHORT, training=replace(SHORT.training, learning_rate=1e30))
    with pytest.raises(InputDataError, match=r"only 0 of 6 architectures could be trained: random:4: diverged"):
        ranked(digits, proxies="random:4", protocol=wild, seeds=1, full=SHORT.with_epochs(1))
    with pytest.raises(InputDataError, match=r"only 0 of 3 .*: full training: .*always"):
        ranked(
            digits,
            space="tests.nas.test_rank:Broken",
            sample=3,
            seeds=1,
            proxies="random:4",
        )


def test_processes_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert crew(2, "cpu").count == 2 and crew(1, "cpu").count == 0
    with pytest.raises(SettingsError, match="must not be negative"):
        crew(-1, "cpu")
    monkeypatch.setattr(candidates_module, "resolve_device", lambda device: torch.device("cuda"))
    assert crew(0, "cuda").count == 0 and crew(2, "cuda").count == 2
    monkeypatch.setattr(candidates_module, "find_spec", lambda name: None)
    assert crew(0, "cpu").count == 0
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"\[ray\]"):
        crew(2, "cpu")


def test_proxies_by_name() -> None:
    text = (
        "dm:10(pool=20,score=loss),random:5(averaged=True),early-stop:0.25,"
        "dsa:1(network=convnet(width=16,depth=2),steps=3,score=area)"
    )
    proxies = parse_proxies(text)
    assert ",".join(proxy.name for proxy in proxies) == text
    assert proxies[0] == SummaryProxy(method="dm", ipc=10, pool=20, score="loss")
    assert proxies[2] == EarlyStopping(epochs=0.25)
    assert parse_proxies(proxies[1].name) == [proxies[1]]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("dm", SettingsError, "not of the form method:ipc"),
        ("", SettingsError, "at least one proxy"),
        ("dm:10,dm:10", SettingsError, "named twice"),
        ("nothing:10", UnknownNameError, "unknown proxy 'nothing'"),
        ("dm:1.5", SettingsError, "whole number"),
        ("dm:0", SettingsError, "ipc must be a whole number above 0"),
        ("early-stop:1.5", SettingsError, "whole, or a share below 1"),
        ("early-stop:0", SettingsError, "whole, or a share below 1"),
        ("random:4(score=speed)", UnknownNameError, "unknown score"),
        ("random:4(pool=3)", SettingsError, "selects examples without networks"),
    ],
)
def test_proxies_that_are_none(digits: dd.TargetData, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ranked(digits, proxies=text)


def test_samples_and_tops_that_cannot_be(digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dd, "distill", lambda *_, **__: pytest.fail("distilled"))
    with pytest.raises(SettingsError, match="at least 3 architectures"):
        ranked(digits, sample=2, top=(1,))
    with pytest.raises(InputDataError, match="has no test split"):
        ranked(replace(digits, test=None))
    with pytest.raises(UnknownNameError):
        ranked(digits, proxies="random:4,dm:4(network=nothing)")
    with pytest.raises(UnsupportedError, match="takes colour images"):
        ranked(digits, space="nasbench201(channels=4,cells=1)")
    with pytest.raises(SettingsError, match="top holds no k"):
        ranked(digits, top=())
    with pytest.raises(SettingsError, match="top holds no k"):
        ranked(digits, top=(7,))
    with pytest.raises(SettingsError, match="9 cannot be drawn"):
        ranked(digits, sample=9)


def test_a_pool_draws_its_networks_from_the_space(digits: dd.TargetData, tmp_path: Path) -> None:
    bench = Bench(digits, Tiny(), "convnet(width=4)", 2, tmp_path)
    method = SummaryProxy(method="dm", ipc=2, pool=3).method_for(bench, 5)
    assert method.networks.architecture == Tiny().pool(3, 5)  # type: ignore[attr-defined]
    assert method.steps == 2 and method.optimiser.kind == "adam"
    alone = SummaryProxy(method="dm", ipc=2).method_for(bench, 5)
    assert alone.networks.architecture.width == 4 and alone.optimiser.kind == "sgd"  # type: ignore[attr-defined]
    summary = SummaryProxy(method="dm", ipc=2, pool=3).data(bench, 5)
    assert torch.isfinite(summary.tensors()[0]).all() and len(summary) == 20


@pytest.mark.parametrize("method", ["gtn", "dd", "frepo"])
def test_learned_recipes_are_followed(digits: dd.TargetData, tmp_path: Path, method: str) -> None:
    """Summaries that bring their own steps, rates or losses are proxies, too."""
    bench = Bench(digits, Tiny(), "convnet(width=4,depth=1)", 1, tmp_path)
    summary = SummaryProxy(method=method, ipc=1).data(bench, 0)
    (candidate,) = Tiny().sample(1)
    report = dd.evaluate(summary, digits, networks=candidate, protocol=SHORT, runs=1, seed=4, split="validation")
    assert ProxyEvaluator(summary, digits, SHORT, seed=4)(candidate) == pytest.approx(report.results[0].mean, abs=1e-9)


def test_a_space_with_batch_norm_takes_statistics_of_all_classes(digits: dd.TargetData) -> None:
    """Matching asks for one class at a time: the statistics must not be that class's."""
    candidate = ConvNetSpace().candidate(
        {"depth": 1, "width": 4, "norm": "batch", "activation": "relu", "pooling": "avg"}
    )
    run = started(digits, networks=FreshNetworks(OneOf((candidate,))), precision="fp32")
    (network,) = run.networks.current()
    (norm,) = (part for part in network.module.modules() if isinstance(part, torch.nn.BatchNorm2d))
    assert not norm.training
    real = run.real.batch(digits.spec.classes, 16, "batch-norm")
    convolution = next(part for part in network.module.modules() if isinstance(part, torch.nn.Conv2d))
    large = torch.nn.functional.interpolate(real.inputs, size=32, mode="bilinear")
    torch.testing.assert_close(norm.running_mean, convolution(large).mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_methods_that_cannot_use_a_pool_say_so_before_anything_is_trained(
    digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates_module, "outcome_of", lambda *_: pytest.fail("trained"))
    with pytest.raises(UnsupportedError, match="experts share one architecture"):
        ranked(digits, proxies="random:4,mtt:2(pool=2)", steps=1)
    with pytest.raises(BudgetError):
        ranked(digits, proxies="random:4,random:40")


# --- tables


def write_table(path: Path, **changes: object) -> Path:
    sample = Tiny().sample(8)
    columns = {name: np.array([c.choices[name] for c in sample]) for name in Tiny().values()}
    arrays = {**columns, "accuracy": np.linspace(50, 85, 16).reshape(8, 2), **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})  # type: ignore[arg-type]
    return path


def test_the_truth_may_come_from_a_table(digits: dd.TargetData, tmp_path: Path) -> None:
    path = write_table(tmp_path / "table.npz", iso_class=np.array([0, 0, 1, 2, 3, 4, 5, 6]))
    ranking = ranked(digits, truth=path, proxies="random:4", sample=7, seeds=1)
    by_label = {c.label: i for i, c in enumerate(Tiny().sample(8))}
    rows = [by_label[label] for label in ranking.labels]
    assert len({max(row, 1) for row in rows}) == 7, "one architecture of each class"
    np.testing.assert_allclose(ranking.truth.accuracies, np.linspace(50, 85, 16).reshape(8, 2)[rows])
    entry = ranking.to_json()
    assert entry["proxies"][0]["speedup"] is None and entry["truth"]["ceiling_tau"] == 1
    assert entry["truth"]["source"] == "table.npz", "results name no folder of a machine"
    with pytest.raises(SettingsError, match="7 different architectures: 8 cannot"):
        ranked(digits, truth=path, proxies="random:4", sample=8)


def test_classes_of_a_table_are_drawn_with_equal_chance(tmp_path: Path) -> None:
    """One class of seventy architectures, seven of one."""
    space = ConvNetSpace()
    rows = space.sample(77)
    columns = {name: np.array([c.choices[name] for c in rows]) for name in space.values()}
    marks = np.array(["many"] * 70 + [f"one {place}" for place in range(7)])
    np.savez(tmp_path / "t.npz", accuracy=np.linspace(50, 90, 77), iso_class=marks, **columns)
    table, many = load_table(tmp_path / "t.npz", space, "digits"), set(rows[:70])
    drawn = sum(table.sample(1, seed)[0][0] in many for seed in range(400))
    assert abs(drawn - 50) <= 3 * np.sqrt(400 * 1 / 8 * 7 / 8)


def test_values_of_a_table_are_those_of_the_space(tmp_path: Path) -> None:
    plain = np.array([c.choices["width"] for c in Tiny().sample(8)])
    for widths in (plain.astype(float), plain.astype(str), plain.astype(np.int8)):
        table = load_table(write_table(tmp_path / "t.npz", width=widths), Tiny(), "digits")
        assert table.candidates == Tiny().sample(8)
        assert all(type(candidate.choices["width"]) is int for candidate in table.candidates)


def test_the_layout_of_nas_bench_201(tmp_path: Path) -> None:
    names = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    edges = ["0->1", "0->2", "1->2", "0->3", "1->3", "2->3"]
    ops = np.array([[4, 2, 1, 2, 1, 1], [3, 3, 4, 1, 3, 0]], dtype=np.int8)
    accuracies = np.array([[85.9, 52.9], [93.7, 70.3]], dtype=np.float32)
    np.savez(
        tmp_path / "t.npz",
        ops=ops,
        op_names=names,
        edge_order=edges,
        test_acc=accuracies,
        datasets=["cifar10", "cifar100"],
    )
    table = load_table(tmp_path / "t.npz", NasBench201(), "cifar100")
    assert table.candidates[1].choices == {
        "cell/0_1": "conv_3x3",
        "cell/0_2": "conv_3x3",
        "cell/1_2": "avg_pool_3x3",
        "cell/0_3": "skip_connect",
        "cell/1_3": "conv_3x3",
        "cell/2_3": "none",
    }
    np.testing.assert_allclose(table.accuracies[:, 0], accuracies[:, 1])
    with pytest.raises(InputDataError, match="on cifar10, cifar100, not on mnist"):
        load_table(tmp_path / "t.npz", NasBench201(), "mnist")
    with pytest.raises(InputDataError, match="has no column 'width', which tiny needs"):
        load_table(tmp_path / "t.npz", Tiny(), "cifar10")
    ops[0, 0] = 9
    np.savez(tmp_path / "o.npz", ops=ops, op_names=names, edge_order=edges, accuracy=accuracies)
    with pytest.raises(InputDataError, match="do not fit together"):
        load_table(tmp_path / "o.npz", NasBench201(), "cifar10")
    ops[0, 0] = -1
    np.savez(tmp_path / "o.npz", ops=ops, op_names=names, edge_order=edges, accuracy=accuracies)
    with pytest.raises(InputDataError, match="negative place"):
        load_table(tmp_path / "o.npz", NasBench201(), "cifar10")
    ops[0] = ops[1]
    np.savez(tmp_path / "o.npz", ops=ops, op_names=names, edge_order=edges, accuracy=accuracies)
    with pytest.raises(InputDataError, match="stands in several rows"):
        load_table(tmp_path / "o.npz", NasBench201(), "cifar10")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": np.full(8, 5)}, "row 0: width of tiny is one of 4, 8, not 5"),
        ({"norm": None}, "has no column 'norm'"),
        ({"accuracy": None}, "has no column 'accuracy'"),
        ({"accuracy": np.full(8, np.nan)}, "must be percent"),
        ({"accuracy": np.full(8, 101.0)}, "must be percent"),
        ({"accuracy": np.full(7, 50.0)}, "differ in length"),
        ({"accuracy": np.array(["a"] * 8)}, "no table of numbers"),
        ({"accuracy": np.linspace(0.5, 0.9, 8)}, "multiply them by 100"),
        ({"accuracy": np.array([{}] * 8, dtype=object)}, "array of objects"),
        ({"accuracy": np.zeros((8, 0))}, "must be percent"),
        ({"accuracy": np.zeros((8, 1, 1))}, "differ in length or shape"),
        ({"width": np.array(4)}, "differ in length or shape"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write_table(tmp_path / "table.npz", **changes)
    with pytest.raises(InputDataError, match=message):
        load_table(path, Tiny(), "digits")


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(InputDataError, match="is damaged, or no"):
        load_table(tmp_path / "t.npz", Tiny(), "digits")


def test_a_picture_per_proxy(found: tuple[Ranking, Path], tmp_path: Path) -> None:
    paths = plot(found[0], tmp_path / "new" / "folder")
    assert len({*paths}) == 4 + len(FREE)
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in paths)


def broken_space() -> type:
    from ddapps.nas.nni_package import require_nni

    require_nni()
    import nni
    from nni.nas.nn.pytorch import ModelSpace

    class Broken(ModelSpace):
        """Three architectures whose forward pass fails."""

        def __init__(self) -> None:
            super().__init__()
            self.width = self.add_mutable(nni.choice("width", [1, 2, 3]))
            self.head = torch.nn.Linear(64, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("always")

    return Broken


def Broken() -> object:  # noqa: N802
    return broken_space()()
