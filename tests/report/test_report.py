"""What a page says is what the library finds, and what a stranger wrote stays text."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ddcore as dd
from ddapps.cli.distill import method_from
from ddapps.cli.main import build_parser, main
from ddcore.errors import MissingExtraError, SettingsError, SummaryFormatError
from ddcore.evaluation import mean_std_ci95, paired_differences, selected_beside
from ddcore.parts import modality_named
from ddcore.report.course import Course
from ddcore.report.gallery import gallery_of
from ddcore.report.repeat import command_of
from tests.graphs import data as graph_data
from tests.interactions import data as interaction_data
from tests.report.pages import NETWORK, SHORT, distilled, page_of
from tests.text import data as text_data


@pytest.fixture(scope="module")
def place(few_digits: dd.TargetData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilled(few_digits, tmp_path_factory.mktemp("summaries") / "ours")


@pytest.fixture(scope="module")
def page(place: Path, few_digits: dd.TargetData) -> dd.Page:
    return page_of(place, few_digits, networks=[NETWORK, "mlp(width=3)"])


def test_scores_are_those_of_evaluate_and_differences_are_paired_run_by_run(
    page: dd.Page, place: Path, few_digits: dd.TargetData
) -> None:
    (told,) = page.to_json()["summaries"]
    summary = dd.DataSummary.load(place)

    def accuracies(data: dd.DataSummary) -> np.ndarray:
        found = dd.evaluate(data, few_digits, networks=[NETWORK, "mlp(width=3)"], protocol=SHORT, runs=2)
        return np.array([value for result in found.results for value in result.values])

    ours = accuracies(summary)
    assert [a for r in told["scores"]["ours"]["results"] for a in r["accuracies"]] == pytest.approx(ours, abs=1e-3)
    for rule in ("random", "herding"):
        beside = selected_beside(summary, few_digits, rule)
        assert beside.stored_bytes <= summary.stored_bytes and beside.ipc == summary.ipc
        mean, _, ci95 = mean_std_ci95(ours - accuracies(beside))
        assert told["scores"]["over"][rule] == pytest.approx(
            {"mean": mean, "ci95": ci95, "std": told["scores"]["over"][rule]["std"], "runs": 4}, abs=1e-3
        )
        assert f"{mean:+.2f} ± {ci95:.2f}" in page.html
    assert told["storage"]["share"] == summary.stored_bytes / (120 * 65)
    assert told["same_data"] is True and told["snapshots"] == [2, 4]


def test_herding_beside_a_summary_is_the_method_herding(few_digits: dd.TargetData) -> None:
    summary = dd.distill(few_digits, dd.methods.dm(ipc=3, preset="cpu").with_steps(0))
    herded = dd.distill(few_digits, dd.methods.herding(ipc=3, preset="cpu"))
    beside = selected_beside(summary, few_digits, "herding")
    torch.testing.assert_close(beside.to_pixels(), herded.to_pixels(), atol=1e-6, rtol=0)


def test_all_pairs_of_summaries_are_compared(few_digits: dd.TargetData) -> None:
    summaries = [dd.distill(few_digits, dd.methods.random(ipc=n), seed=n) for n in (1, 2, 4)]
    page = page_of(summaries, few_digits)
    reports = [dd.evaluate(s, few_digits, networks=NETWORK, protocol=SHORT, runs=2) for s in summaries]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        mean, _, ci95 = mean_std_ci95(paired_differences(reports[one], reports[other]))
        row = rf"random {one + 1} minus random {other + 1}</th><td>{re.escape(f'{mean:+.2f} ± {ci95:.2f}')}</td>"
        assert len(re.findall(row, page.html)) == 1
    assert "over herding" in page.html and "over random" not in page.html  # random is beside no random


def test_the_curve_is_the_mean_of_neighbours_and_a_step_taken_again_counts_once(tmp_path: Path) -> None:
    steps = [*range(1, 601), *range(500, 961)]  # killed at 600, gone on from a checkpoint at 499
    losses = {step: float(1000 - step) for step in range(1, 961)}
    with (tmp_path / "progress.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "loss", "seconds"])
        rows.writerows([step, 7e9 if n < 600 <= step + 100 else losses[step], n] for n, step in enumerate(steps))
    course = Course.read(tmp_path)
    assert dict(course.losses) == losses
    curve = course.curve()
    assert [(p["step"], p["loss"], p["low"], p["high"]) for p in (curve[0], curve[-1])] == [
        (4, 997.5, 996.0, 999.0),
        (960, 41.5, 40.0, 43.0),
    ]
    assert len(curve) == 240


@pytest.mark.parametrize("text", ["step;loss\n", "step,loss,seconds\n1,high,2\n", "step,loss,seconds\n1,2\n", "step"])
def test_a_damaged_table_of_losses_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.csv").write_text(text)
    with pytest.raises(SummaryFormatError, match=r"progress\.csv: .* delete the file, or distill again"):
        Course.read(tmp_path)


def test_steps_without_a_finite_loss_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text("step,loss,seconds\n1,2,0\n2,nan,0\n3,inf,0\n4,1,0\n5,0.")  # torn
    assert [point["step"] for point in Course.read(tmp_path).curve()] == [1, 4]


METHODS = {
    "dm": {},
    "dsa": {"optimiser.learning_rate": 0.25, "factorization.init": "noise"},
    "dc": {"matching.real_batch": 64, "factorization.storage": "uint8"},
    "herding": {},
    "random": {"factorization.storage": "float32"},
    "haba": {},
    "kip": {},
}


@pytest.mark.parametrize("name", METHODS)
def test_the_command_names_the_settings_of_the_record(name: str, digits: dd.TargetData) -> None:
    """The words are parsed as the command line does: the method has the recorded settings."""
    method = dd.methods.build_method(name, ipc=3, preset="cpu", target=digits)
    for path, value in METHODS[name].items():
        method = dd.override(method, path, value)
    method = method if method.matching is None else method.with_steps(17)
    method = method.at_precision("fp64", torch.device("cpu"))
    made = dd.distill(digits, dd.methods.random(ipc=1))
    record = {**made.record, "method": json.loads(json.dumps(method.describe())), "seed": 4}
    command = command_of(replace(made, record=record), "digits")
    assert command is not None
    options = build_parser().parse_args(shlex.split(command)[1:])
    built = method_from(options, digits).at_precision(options.precision, torch.device("cpu"))
    assert built.describe() == method.describe() and options.seed == 4 and options.data == "digits"


@pytest.mark.parametrize(
    "more",
    [{"start": {"sha256": "0"}}, {"labelled": {}}, {"method": {"name": "mine"}}, {"seed": None}, {"privacy": {}}],
)
def test_no_command_is_said_where_the_record_does_not_know_it(more: dict[str, object], digits: dd.TargetData) -> None:
    made = dd.distill(digits, dd.methods.random(ipc=1, preset="cpu"))
    made = replace(made, record=json.loads(json.dumps(dict(made.record))))
    assert command_of(made, "digits") == "ddapps distill digits --method random --ipc 1 --preset cpu --seed 0 --out DIR"
    assert command_of(replace(made, record={**made.record, **more}), "digits") is None


def test_the_command_names_a_normalisation_where_its_settings_are_known() -> None:
    for name, said in (("none", "--normalisation none "), ("standard", ""), ("zca", None)):
        made = dd.distill(dd.load_data("digits", normalisation=name), dd.methods.random(ipc=1, preset="paper"))
        made = replace(made, record=json.loads(json.dumps(dict(made.record))))
        wanted = f"ddapps distill digits {said}--method random --ipc 1 --preset paper --seed 0 --out DIR"
        assert command_of(made, "digits") == (None if said is None else wanted)


def test_a_private_summary_shows_its_claim_and_who_checks_it(few_digits: dd.TargetData) -> None:
    made = dd.distill(few_digits, dd.methods.random(ipc=1))
    claim = {"epsilon": 3.25, "delta": 1e-5, "mechanism": "<b>noise</b>"}
    page = page_of(replace(made, record={**made.record, "privacy": claim, "data_sha256": None}), few_digits)
    for said in ("3.25", "1e-05", "&lt;b&gt;noise", "ddapps privacy verify DIR", "cannot be repeated", "does not say"):
        assert said in page.html
    assert html.unescape(re.findall(r'srcdoc="([^"]*)"', page._repr_html_())[0]) == page.html


def test_pictures_of_the_gallery_are_the_pixels(place: Path) -> None:
    summary = dd.DataSummary.load(place)
    gallery = gallery_of(summary, 10**6)
    pixels = (summary.to_pixels() * 255).round().to(torch.uint8)
    owners = summary.decoded().owners
    for card, class_id in zip(gallery.cards, (0, 1, 7), strict=True):
        assert card.title == str(class_id) and len(card.pictures) == 2
        for picture, wanted in zip(card.pictures, pixels[owners == class_id], strict=True):
            assert (picture.width, picture.height) == (72, 72)
            decoded = _decoded(picture.address)
            assert np.array_equal(decoded, wanted.expand(3, -1, -1).permute(1, 2, 0).numpy())


def _decoded(address: str) -> np.ndarray:
    import base64
    import io

    kind, _, content = address.partition(";base64,")
    assert kind == "data:image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_gallery_shows_fewer_of_each_class_where_bytes_are_few(digits: dd.TargetData) -> None:
    summary = dd.distill(digits, dd.methods.random(ipc=10))
    whole, small = gallery_of(summary, 10**7), gallery_of(summary, 12_000)
    assert {len(card.pictures) for card in whole.cards} == {10}
    assert {len(card.pictures) for card in small.cards} <= {2, 5}
    assert sum(len(p.address) for card in small.cards for p in card.pictures) <= 12_000


def test_cards_of_sentences_users_rows_and_graphs(tmp_path: Path) -> None:
    sentences, users = dd.load_data(text_data.sentences(20)), interaction_data.tastes()
    graph, rows = graph_data.loaded(tmp_path), dd.load_data("iris")
    random = dd.methods.random(ipc=2)
    summary = {t.spec.modality: dd.distill(t, random.suited_to(t.spec)) for t in (sentences, graph, rows, users)}

    def cards(name: str) -> list[dd.parts.Card]:
        made = summary[name]
        return modality_named(name).cards(made.decoded(), 5)

    lines = {card.title: card.lines for card in cards(sentences.spec.modality)}
    assert set(lines) == set(text_data.TOPICS) and all(len(each) == 2 for each in lines.values())
    (table,) = cards(rows.spec.modality)
    frame = summary[rows.spec.modality].to_dataframe()
    assert set(table.columns) == set(frame.columns) and len(table.rows) == len(frame) == 6
    first = table.columns.index("petal length (cm)")
    assert [float(row[first]) for row in table.rows] == pytest.approx(frame["petal length (cm)"].tolist(), rel=1e-3)
    (drawn,) = cards(graph.spec.modality)
    assert [row[1] for row in drawn.rows] == ["2", "2", "2"] and len(drawn.pictures) == len(drawn.says) == 1
    (each, most) = cards(users.spec.modality)
    frame = summary[users.spec.modality].to_dataframe()
    for user, (_, count, items) in enumerate(each.rows):
        held = frame[frame["user"] == user]
        assert int(count) == len(held) > 0 and set(items.split(", ")) == set(map(str, held["item"]))
    assert float(most.rows[0][1]) == frame.groupby("item")["weight"].sum().max()


HOSTILE = "</script><img src=x onerror=document.title='owned'>\"'{{7*7}}<!--"


def test_what_a_stranger_wrote_stays_text(few_digits: dd.TargetData, tmp_path: Path) -> None:
    names = tuple(f"{HOSTILE}{c}" for c in range(10))
    target = replace(few_digits, name=HOSTILE, spec=replace(few_digits.spec, class_names=names))
    made = dd.distill(target, dd.methods.random(ipc=1))
    hostile = replace(made, record={**made.record, "method": {"name": HOSTILE, HOSTILE: HOSTILE}, "cites": [HOSTILE]})
    harmless = page_of([made, made], few_digits_named(few_digits, names))
    page = page_of([hostile, hostile], few_digits_named(few_digits, names))
    for tag in ("<script", "</script", "<img", "<!--", "onerror=document.title=&#39;"):
        least = 0 if tag.startswith("onerror") else harmless.html.count(tag)
        assert (page.html.count(tag) == least) == (not tag.startswith("onerror")), tag
    assert "{{7*7}}" in page.html  # it is no template


def few_digits_named(few_digits: dd.TargetData, names: tuple[str, ...]) -> dd.TargetData:
    return replace(few_digits, name=HOSTILE, spec=replace(few_digits.spec, class_names=names))


def test_a_selection_that_does_not_fit_is_said_to_be_missing(digits: dd.TargetData) -> None:
    bases = dd.Budget(500).fit(dd.images.Frequencies(storage="uint8"), digits)
    small = dd.distill(digits, dd.Method(factorization=bases, name="frequencies"))
    assert small.stored_bytes <= 500 < 650  # ten images of 64 bytes and a class id
    page = page_of(small, digits)
    assert set(page.chapters[0].measured.missing) == {"random", "herding"} and not page.chapters[0].measured.beside
    assert page.html.count("No selection by") == 2


def test_without_the_packages_of_a_report_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, few_digits: dd.TargetData
) -> None:
    made = dd.distill(few_digits, dd.methods.random(ipc=1))
    for package in ("altair", "vl_convert"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(MissingExtraError, match=r"a report needs altair: .*\[report\]"):
                dd.report(made, few_digits)
    with pytest.raises(SettingsError, match="at least one summary: none was given"):
        dd.report([], few_digits)


def test_the_command_writes_the_page_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = dd.load_data("iris")
    random = dd.methods.random(ipc=2).suited_to(target.spec)
    made = dd.distill(target, random).save(tmp_path / "it's here")
    out, found = tmp_path / "deep" / "page.html", tmp_path / "page.json"
    words = ["--networks", NETWORK, "--runs", "2", "--seed", "3", "--precision", "fp64", "--modality", "tables"]
    assert (
        main(["report", str(made), "--data", "iris", "--out", str(out), "--json", str(found), "--quiet", *words]) == 0
    )
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.splitlines()[-1] == str(out)
    page = dd.report(made, "iris", networks=NETWORK, runs=2, seed=3, precision="fp64", named="iris --modality tables")

    def timeless(told: object) -> str:
        return re.sub(r'"seconds": [\d.]+', "", json.dumps(told))

    assert timeless(json.loads(found.read_text())) == timeless(page.to_json())
    assert page.to_json()["summaries"][0]["command"].startswith("ddapps distill iris --modality tables --method random")
    assert len(out.read_text()) == pytest.approx(len(page.html), abs=200)
    with pytest.raises(SystemExit) as refused:
        main(["report", str(tmp_path / "none"), "--data", "iris", "--out", str(out)])
    assert refused.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
