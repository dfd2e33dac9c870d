"""What a notebook shows of summaries, reports and data."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ddcore as dd
from ddcore.evaluation.report import Report, Result
from tests.evaluation.test_fair import report
from tests.graphs import data as graph_data
from tests.graphs import sets
from tests.interactions.data import tastes
from tests.text.data import topics

VOID = ("img", "br")


class Page(HTMLParser):
    """The cells, the texts and the pictures of HTML whose tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.pictures: list[tuple[str, np.ndarray]] = []
        self.feed(html)
        self.close()
        assert self.open == []
        assert "script" not in self.tags and not re.search(r"\son\w+=", html)
        assert not re.search(r"(background|color):\s*(#|white|black|rgb)", html), "a notebook may be dark or light"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "img":
            given = dict(attrs)
            source, alt = given["src"] or "", given["alt"] or ""
            assert source.startswith("data:image/png;base64,")
            with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
                self.pictures.append((alt, np.asarray(image)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def shown(value: Any) -> Page:
    return Page(value._repr_html_())


def test_a_summary_shows_its_facts_and_a_picture_of_each_class(few_digits: dd.TargetData) -> None:
    names = ("<b>zero</b>", *(f'"{i}" & more' for i in range(1, 10)))
    named = replace(few_digits, spec=replace(few_digits.spec, class_names=names))
    summary = dd.distill(named, dd.methods.random(ipc={0: 2, 1: 12, 7: 1}, preset="cpu"), seed=0)
    page = shown(summary)
    assert page.texts[:2] == ["random of few digits", f"15 examples of 3 classes, {summary.stored_bytes} bytes, preset cpu, 0 steps, {summary.record['seconds']} seconds"]  # fmt: skip
    assert page.texts[2:] == [names[0], names[1], names[7]] and "b" not in page.tags
    assert len(page.pictures) == 2 + 10 + 1, "ten of a class at most"
    pixels, owners = (255 * summary.to_pixels()).round().byte(), summary.decoded().owners
    chosen = torch.cat([(owners == class_id).nonzero().flatten()[:10] for class_id in (0, 1, 7)])
    for index, (alt, drawn) in zip(chosen.tolist(), page.pictures, strict=True):
        assert alt.startswith(f"Class {names[int(owners[index])]}, image ")
        assert np.array_equal(drawn, pixels[index].expand(3, -1, -1).permute(1, 2, 0).numpy())


def test_of_many_classes_the_first_are_shown(few_digits: dd.TargetData) -> None:
    targets = torch.arange(len(few_digits.train)) % 30
    many = dd.load_data((few_digits.train.inputs, targets), num_classes=30)
    page = shown(dd.distill(many, dd.methods.random(ipc=1, preset="cpu")))
    assert len(page.pictures) == 20 and page.texts[-1] == "and 10 more"
    assert [row[0] for row in shown(many).rows[-2:]] == ["19", "and 10 more"]


@pytest.mark.parametrize("kind", ["table", "graph", "graphs", "users", "sentences"])
def test_any_data_and_their_summary_are_shown(kind: str, tmp_path: Path) -> None:
    loaders: dict[str, Callable[[], dd.TargetData]] = {
        "table": lambda: dd.load_data("diabetes", modality="tables"),
        "graph": lambda: graph_data.loaded(tmp_path),
        "graphs": lambda: sets.loaded(tmp_path),
        "users": tastes,
        "sentences": topics,
    }
    target = loaders[kind]()
    summary = dd.distill(target, "random", ipc=3, preset="cpu", seed=0)
    page = shown(summary)
    assert page.texts[0] == f"random of {target.name}"
    assert bool(page.pictures) is (kind in ("graph", "graphs"))
    assert ("pre" in page.tags) is (kind == "sentences")
    assert bool(page.rows) is (kind in ("table", "users", "graph"))
    counts = target.counts()
    rows = [[target.spec.name_of(class_id), str(count)] for class_id, count in counts.items()]
    assert shown(target).rows[1:] == rows
    assert f"{sum(counts.values())} training" in repr(target)


def test_data_are_named_in_a_line_without_their_numbers(few_digits: dd.TargetData, digits: dd.TargetData) -> None:
    assert repr(digits) == (
        "TargetData(digits: images, 1438 training, 359 test examples, 10 classes, 1 x 8 x 8, normalisation standard)"
    )
    assert repr(digits.train) == "Split(1438 examples, 1 x 8 x 8)"
    carved = repr(few_digits.with_validation(0.25))
    assert "90 training, 30 validation" in carved and "3 classes" in carved


def test_a_report_is_a_table_of_its_numbers(few_digits: dd.TargetData) -> None:
    results = (
        Result("mlp<8>", {"accuracy": (80.0, 90.0)}, 3.21, 10),
        Result("svm", {"accuracy": (50.0,)}, 0.04, 0),
    )
    found = Report("digits", "dm", 1, 2570, "quick", results, {})
    page = shown(found)
    assert page.texts[:2] == ["dm of digits", "1 per class, 2570 bytes, protocol quick"]
    half = results[0].ci95
    assert page.rows == [
        ["network", "accuracy %", "std", "runs", "seconds"],
        ["mlp<8>", f"85.00 ± {half:.2f}", "7.07", "2", "3.2"],
        ["svm", "50.00", "\u2013", "1", "0.0"],
    ]


def test_a_fair_report_shows_the_table_that_it_prints() -> None:
    rows = tuple(
        dd.evaluation.Beside(name, report(name, 60.0, 62.0), report(name, 50.0, 56.0, labels=7))
        for name in ("hard", "teacher")
    )
    found = dd.evaluation.FairReport(rows)
    page, printed = shown(found), str(found).splitlines()
    assert [" ".join(row) for row in page.rows] == [" ".join(line.split()) for line in printed[:3]]
    assert "".join(page.texts[-1:]).splitlines() == printed[3:]
