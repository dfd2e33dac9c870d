"""``ddapps distill --method auto`` and ``--codec``."""

from __future__ import annotations

from pathlib import Path

import pytest

import ddcore as dd
from ddapps.cli.main import main
from ddcore.choosing import choose, contest
from ddcore.errors import SettingsError

NETWORK = ["--network", "convnet(width=4)", "--quiet"]


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "RUNGS", ((20, 0.01, 1),))
    monkeypatch.setattr(contest, "TEACHING_UPDATES", 20)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {
        name: c for name, c in dd.portfolio(dd.load_data("digits").spec).items() if name.endswith("(8 px, 4 levels)")
    }
    monkeypatch.setattr(choose, "portfolio", lambda spec, joint: few)


def test_auto_keeps_its_bytes_says_what_it_took_and_finds_it_again(
    short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["distill", "digits", "--method", "auto", "--bytes", "900", "--out", str(tmp_path / "auto"), *NETWORK]
    assert main(words) == 0
    said = capsys.readouterr().out
    summary = dd.DataSummary.load(tmp_path / "auto")
    chosen = summary.record["chosen"]
    assert summary.stored_bytes <= 900 and chosen["bytes"] == 900
    assert f"auto: {chosen['chosen']}" in said and f"next: {chosen['runner_up']}" in said
    assert main(words) == 0
    assert "was finished already" in capsys.readouterr().out
    assert main([*words, "--seed", "3"]) == 2
    assert "another summary" in capsys.readouterr().err


def test_of_several_processes_the_first_one_speaks(
    short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def meet(*given: object, **settings: object) -> dd.DataSummary:
        raise SettingsError("they met")

    words = ["distill", "digits", "--method", "auto", "--bytes", "900", *NETWORK, "--out"]
    assert main([*words, str(tmp_path / "finished")]) == 0
    monkeypatch.setattr(dd, "distill", meet)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, spoken in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        capsys.readouterr()
        assert [main([*words, str(tmp_path / place)]) for place in ("finished", "begun")] == [0, 2]
        told = capsys.readouterr()
        assert "they met" in told.err
        assert ("was finished already" in told.out and "auto: " in told.out) if spoken else not told.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "give --bytes, such as 2560"),
        (
            ["--bytes", "900", "--set", "steps=3", "--storage", "fp16"],
            "--storage and --set say what --method auto chooses",
        ),
        (["--bytes", "900", "--codec", "8x4"], "--codec say"),
        (["--bytes", "900", "--ipc", "3", "--preset", "paper"], "--ipc and --preset say"),
    ],
)
def test_auto_refuses_what_it_chooses_itself(
    words: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distill", "digits", "--method", "auto", "--out", str(tmp_path / "auto"), *NETWORK, *words]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--storage", "fp16"], "--storage"),
        (["--labels", "soft"], "--labels"),
        (["--matching", "dm"], "--matching"),
        (["--factorization", "pixels", "--preset", "paper"], "--factorization and --preset"),
    ],
)
def test_what_a_codec_would_ignore_is_refused(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distill", "digits", "--codec", "8x4", "--out", str(tmp_path / "x"), *NETWORK, *words]) == 2
    assert f"{told} cannot be said with --codec" in capsys.readouterr().err


def test_a_chosen_run_that_was_cut_short_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary has no step yet: the same words finish it, and then find it."""
    name = "dm (8 px, 4 levels)"
    dm = dd.portfolio(dd.load_data("digits").spec)[name]
    monkeypatch.setattr(choose, "portfolio", lambda spec, joint: {name: dm})
    words = ["distill", "digits", "--method", "auto", "--bytes", "300", "--steps", "3", "--out", str(tmp_path / "a")]
    distill, cut = dd.distill, {"max_seconds": 1e-9, "callbacks": []}
    monkeypatch.setattr(dd, "distill", lambda *given, **settings: distill(*given, **settings | cut))
    for steps in (0, 3, 3):
        assert main([*words, *NETWORK]) == 0
        assert dd.DataSummary.load(tmp_path / "a").record["steps"] == steps
        cut.clear()
    assert "was finished already" in capsys.readouterr().out


def test_words_with_another_network_choose_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "RUNGS", ((20, 0.01, 1),))
    name = "random (8 px, 4 levels)"
    found = {name: dd.portfolio(dd.load_data("digits").spec)[name]}
    monkeypatch.setattr(choose, "portfolio", lambda spec, joint: found)
    words = ["distill", "digits", "--method", "auto", "--bytes", "300", "--out", str(tmp_path / "a"), "--network"]
    assert [main([*words, network]) for network in ("mlp(width=8)", "mlp(width=8)", "mlp(width=9)")] == [0, 0, 2]
    told = capsys.readouterr()
    assert "was finished already" in told.out and "holds another summary" in told.err


def test_a_codec_holds_more_images_in_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in {"coded": ["--codec", "8x4"], "raw": ["--storage", "uint8"]}.items():
        out = str(tmp_path / name)
        assert (
            main(["distill", "digits", "--method", "random", "--bytes", "1300", "--out", out, *NETWORK[2:], *words])
            == 0
        )
    coded, raw = (dd.DataSummary.load(tmp_path / name) for name in ("coded", "raw"))
    assert max(coded.stored_bytes, raw.stored_bytes) <= 1300
    assert len(coded) > 5 * len(raw)


@pytest.mark.parametrize("words", [["--codec", "8"], ["--codec", "8x"], ["--codec", "ax4"]])
def test_a_codec_is_rows_times_levels(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["distill", "digits", "--method", "random", "--out", str(tmp_path / "x"), *words])
    assert "rows x levels, such as 14x4" in capsys.readouterr().err


def test_a_codec_for_a_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "iris", "--method", "random", "--out", str(tmp_path / "x"), "--codec", "8x4"]) == 2
    assert "--codec is of images" in capsys.readouterr().err
