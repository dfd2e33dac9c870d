from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ddcore as dd
from ddapps.cli.main import main
from ddcore.images import draw
from ddcore.summary import as_text

SMALL = ["--network", "convnet(width=8,depth=2)"]


@pytest.fixture
def npz(few_digits: dd.TargetData, tmp_path: Path) -> str:
    train, test = few_digits.train, few_digits.test
    assert test is not None
    relabelled = {0: 0, 1: 1, 7: 2}
    path = tmp_path / "tiny.npz"
    np.savez(
        path,
        x_train=train.inputs[:, 0].numpy(),
        y_train=[relabelled[int(t)] for t in train.targets],
        x_test=test.inputs[:, 0].numpy(),
        y_test=[relabelled[int(t)] for t in test.targets],
    )
    return str(path)


def test_distill_evaluate_and_show_work_together(npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["distill", npz, "--method", "dm", "--ipc", "2", "--steps", "3", "--out", out, *SMALL]) == 0
    assert "6 examples, 3 classes" in capsys.readouterr().out
    assert (
        main(
            ["evaluate", out, "--data", npz, "--networks", "convnet(width=8,depth=2),mlp", "--runs", "2", "--json", "-"]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert {"data", "method", "ipc", "stored_bytes", "protocol", "results"} <= set(report)
    assert (report["data"], report["method"], report["ipc"], report["protocol"]) == ("tiny", "dm", 2, "quick")
    assert [r["network"] for r in report["results"]] == ["convnet(width=8,depth=2)", "mlp"]
    for result in report["results"]:
        assert {"network", "mean", "std", "ci95", "runs", "seconds"} <= set(result)
        assert result["mean"] > 75 and result["runs"] == 2
    picture = tmp_path / "pictures" / "examples.png"
    assert main(["show", out, "--out", str(picture)]) == 0
    with Image.open(picture) as image:
        drawn = draw(dd.DataSummary.load(out).decoded(), side=96).numpy()
        assert drawn.shape == (3 * 98 + 2, 2 * 98 + 2, 3)
        assert np.array_equal(np.asarray(image)[:, -drawn.shape[1] :], drawn)
    assert main(["show", out]) == 0
    assert as_text(dd.DataSummary.load(out)) in capsys.readouterr().out


def test_a_run_leaves_its_losses_and_what_else_was_asked_for_and_overwrite_removes_them(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, events = tmp_path / "out", tmp_path / "events"
    words = ["distill", npz, "--ipc", "1", "--quiet", "--out", str(out), *SMALL]
    more = ["--snapshots", "3", "--tensorboard", str(events)]
    assert main([*words, "--steps", "5", *more]) == 0
    assert [row.split(",")[0] for row in (out / "progress.csv").read_text().split()] == ["step", *"12345"]
    assert sorted(p.name for p in (out / "snapshots").iterdir()) == ["00000001", "00000003", "00000005"]
    assert dd.DataSummary.load(out / "snapshots" / "00000005").sha256() == dd.DataSummary.load(out).sha256()
    (old,) = events.iterdir()
    assert main([*words, "--steps", "2", "--overwrite", "--tensorboard", str(events)]) == 0
    assert [row.split(",")[0] for row in (out / "progress.csv").read_text().split()] == ["step", *"12"]
    assert not (out / "snapshots").exists()
    assert len(list(events.iterdir())) == 1 and not old.exists()
    with pytest.raises(SystemExit) as refused:
        main([*words, "--snapshots", "-1", "--overwrite"])
    assert refused.value.code == 2 and "--snapshots: -1 is too small" in capsys.readouterr().err


def test_the_same_command_again_is_done_and_another_is_refused(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["distill", npz, "--method", "random", "--ipc", "1", "--quiet", "--out", str(out)]
    assert main(words) == 0
    before = (out / "summary.safetensors").read_bytes()
    assert main(words) == 0
    assert "finished already" in capsys.readouterr().out
    other = tmp_path / "other.npz"
    shutil.copy(npz, other)
    assert main([str(other) if w == npz else w for w in words]) == 2
    assert "another summary" in capsys.readouterr().err
    assert main([*words, "--seed", "1"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "summary.safetensors").read_bytes() == before
    assert main([*words, "--seed", "1", "--overwrite"]) == 0
    assert (out / "summary.safetensors").read_bytes() != before


def test_settings_are_overridden_by_path(npz: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        "--set",
        "optimiser.learning_rate=0.25",
        "--set",
        "factorization.init=noise",
        "--set",
        "factorization.storage=uint8",
    ]
    assert main(["distill", npz, "--ipc", "1", "--steps", "1", "--quiet", "--out", str(out), *SMALL, *words]) == 0
    method = dd.DataSummary.load(out).record["method"]
    assert method["optimiser"]["learning_rate"] == 0.25
    assert (method["factorization"]["init"], method["factorization"]["storage"]) == ("noise", "uint8")
    assert method["preset"] == "cpu"


def test_a_byte_budget_sizes_any_pair_and_storage_is_reported(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, words in enumerate(
        (
            ["--method", "kfs", "--set", "factorization.fitting_steps=5"],
            ["--matching", "gradient", "--factorization", "linear-bases(factor=1,storage=fp16)"],
            ["--method", "dc", "--factorization", "frequencies"],
            ["--factorization", "multi_formation(storage=uint8)"],
        )
    ):
        out = str(tmp_path / str(i))
        line = ["distill", npz, *words, "--bytes", "1.2kB", "--steps", "2", "--quiet", "--out", out, *SMALL]
        assert main(line) == 0
        assert main(line) == 0, "the same words find it finished"
        summary = dd.DataSummary.load(out)
        assert 800 < summary.stored_bytes <= 1200 and summary.record["steps"] == 2
    capsys.readouterr()
    words = ["--networks", "mlp", "--runs", "1", "--quiet", "--sizes"]
    assert main(["evaluate", out, "--data", npz, *words, "--json", "-"]) == 0
    storage = json.loads(capsys.readouterr().out)["storage"]
    assert storage["stored"] == summary.stored_bytes and storage["compressed"] == summary.compressed_bytes()
    assert storage["original"] == 120 * 65 > storage["original_compressed"] > storage["compressed"]
    assert main(["evaluate", out, "--data", npz, *words]) == 0
    assert f"{summary.stored_bytes} bytes stored" in capsys.readouterr().out
    assert main(["show", out]) == 0
    assert f"{summary.compressed_bytes()} bytes after lossless compression" in capsys.readouterr().out


def test_methods_are_listed_with_family_paper_and_what_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    assert "Zhao & Bilen 2023" in text and "distribution" in text
    assert main(["methods", "--json", "-"]) == 0
    entries = json.loads(capsys.readouterr().out)["methods"]
    assert [e["name"] for e in entries] == list(dd.methods.METHODS)
    assert set(entries[0]) == {"name", "family", "factorization", "networks", "steps", "paper", "measured"}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["distill", "nothing.npz", "--out", "{out}"], "no such file or folder: nothing.npz"),
        (["distill", "{npz}", "--method", "dmm", "--out", "{out}"], "choose one of cafe"),
        (["distill", "{npz}", "--ipc", "1000", "--out", "{out}"], "lower ipc"),
        (["distill", "{npz}", "--ipc", "0", "--out", "{out}"], "above 0"),
        (["distill", "{npz}", "--bytes", "30XB", "--out", "{out}"], "number of bytes"),
        (["distill", "{npz}", "--bytes", "30", "--out", "{out}"], "least"),
        (["distill", "{npz}", "--bytes", "3kB", "--ipc", "1", "--out", "{out}"], "both"),
        (["distill", "{npz}", "--factorization", "pixels(ipc=3)", "--bytes", "3kB", "--out", "{out}"], "chooses ipc"),
        (["distill", "{npz}", "--method", "dm", "--matching", "dc", "--out", "{out}"], "both"),
        (["distill", "{npz}", "--factorization", "pixel", "--out", "{out}"], "choose one of"),
        (["distill", "{npz}", "--matching", "herding", "--out", "{out}"], "selects"),
        (
            [
                "distill",
                "{npz}",
                "--method",
                "kfs",
                "--bytes",
                "2kB",
                "--set",
                "factorization.storage=float32",
                "--out",
                "{out}",
            ],
            "--factorization",
        ),
        (["distill", "{npz}", "--ipc", "0", "--out", "{out}"], "ipc"),
        (["distill", "{npz}", "--ipc", "clip", "--out", "{out}"], "clip:10"),
        (["distill", "{npz}", "--method", "idc", "--network", "mlp", "--out", "{out}"], "no convolution"),
        (["distill", "{npz}", "--method", "dsa", "--network", "convnet(depth=4)", "--out", "{out}"], "halved"),
        (["distill", "{npz}", "--set", "speed=9", "--out", "{out}"], "no setting 'speed'"),
        (["distill", "{npz}", "--set", "speed", "--out", "{out}"], "key=value"),
        (["distill", "{npz}", "--set", "steps=many", "--out", "{out}"], "kind int"),
        (["distill", "{npz}", "--network", "transformer", "--out", "{out}"], "unknown network"),
        (["distill", "{npz}", "--device", "tpu", "--out", "{out}"], "unknown device"),
        (["distill", "{npz}", "--precision", "tf32", "--device", "cpu", "--out", "{out}"], "tf32"),
        (["distill", "{npz}", "--network", "convnet(depth=deep)", "--out", "{out}"], "depth"),
        (["distill", "{npz}", "--network", "mlp(width=-1)", "--out", "{out}"], "positive"),
        (["distill", "{npz}", "--set", "networks=null", "--out", "{out}"], "networks"),
        (["distill", "{npz}", "--set", "optimiser.learning_rate=null", "--out", "{out}"], "learning_rate"),
        (["distill", "{npz}", "--set", "optimiser.momentum=-1", "--out", "{out}"], "momentum"),
    ],
)
def test_an_error_is_one_line_and_no_traceback(
    words: list[str], fault: str, npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [w.format(npz=npz, out=tmp_path / "out") for w in words]
    assert main([*filled, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and fault in captured.err
    with pytest.raises(dd.errors.DistillationError):
        main([*filled, "--quiet", "--debug"])


def test_a_run_that_ran_out_of_time_goes_on(npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    words = ["distill", npz, "--ipc", "1", "--steps", "8", "--quiet", *SMALL]
    assert main([*words, "--max-seconds", "0.000001", "--out", str(out)]) == 0
    first = dd.DataSummary.load(out).record["steps"]
    assert first < 8
    assert main([*words, "--out", str(out)]) == 0
    assert main([*words, "--out", str(whole)]) == 0
    assert dd.DataSummary.load(out).sha256() == dd.DataSummary.load(whole).sha256()
    assert not (out / "checkpoint.safetensors").exists()


def test_a_summary_of_other_classes_is_not_evaluated(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["distill", npz, "--method", "random", "--ipc", "1", "--quiet", "--out", str(out)]) == 0
    assert main(["evaluate", str(out), "--data", "digits", "--runs", "1", "--quiet"]) == 2
    assert "10 class names" in capsys.readouterr().err


def test_a_diverging_run_keeps_its_last_good_state(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--steps", "60", "--set", "optimiser.learning_rate=1e30", "--quiet", *SMALL]
    assert main(["distill", npz, "--ipc", "1", "--out", str(out), *words]) == 1
    said = capsys.readouterr().err
    assert "not finite" in said and f"kept in {out / 'last-good'}. Lower the learning rate" in said
    assert dd.DataSummary.load(out / "last-good").counts == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("method", ["dc", "dsa", "dcc", "idc", "idc_i", "cafe"])
def test_methods_run_on_drawn_networks_with_what_small_classes_have(npz: str, tmp_path: Path, method: str) -> None:
    words = [
        "distill",
        npz,
        "--method",
        method,
        "--ipc",
        "clip:50",
        "--steps",
        "2",
        "--quiet",
        "--out",
        str(tmp_path / "o"),
    ]
    assert (
        main(["distill", npz, "--method", method, "--ipc", "0:1,2:3", "--steps", "1", "--out", str(tmp_path / "p")])
        == 0
    )
    assert set(dd.DataSummary.load(tmp_path / "p").counts) == {0, 2}
    assert main([*words, "--network", "convnet(width=4), convnet(width=5)", "--set", "networks.outer=1"]) == 0
    summary = dd.DataSummary.load(tmp_path / "o")
    assert summary.record["steps"] == 2 and set(summary.counts) == {0, 1, 2}
    assert summary.record["method"]["networks"]["architecture"]["type"] == "OneOf"


def test_only_distill_is_shared_by_torchrun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["federated", "run", "digits"]) == 2
    assert "federated is not shared out among processes of torchrun: start it alone" in capsys.readouterr().err
