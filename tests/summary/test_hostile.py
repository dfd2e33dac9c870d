from __future__ import annotations

import hashlib
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

import ddcore as dd
from benchmarks import hostile_summaries
from ddcore.errors import SummaryFormatError
from ddcore.images import Pixels
from tests.forked import run
from tests.summary import fuzzing


@pytest.fixture
def stored(few_digits: dd.TargetData, tmp_path: Path) -> Path:
    return dd.distill(few_digits, dd.Method(factorization=Pixels(ipc=1))).save(tmp_path / "summary")


def tensors_of(directory: Path) -> dict[str, torch.Tensor]:
    (part,) = dd.DataSummary.load(directory).parts
    return {f"part0.{name}": t for name, t in part.stored.items()}


def put(directory: Path, content: bytes) -> None:
    """Replace the tensor file, and name its hash as the sender would."""
    (directory / "summary.safetensors").write_bytes(content)
    config = json.loads((directory / "config.json").read_text())
    config["tensors_sha256"] = hashlib.sha256(content).hexdigest()
    (directory / "config.json").write_text(json.dumps(config))


def with_header(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "truncated"),
        (b"\x00" * 7, "truncated"),
        (struct.pack("<Q", 2**60) + b"{}", "header claims"),
        (with_header(b"{not json"), "not readable JSON"),
        (with_header(b"[1]"), "not a JSON object"),
        (with_header(b"[" * 100_000), "not readable JSON"),
        (with_header(b'{"a": NaN}'), "NaN"),
        (with_header({}), "holds 0 tensors"),
        (with_header({f"t{i}": entry(shape=(0,), offsets=(0, 0)) for i in range(5000)}), "5000 tensors"),
        (with_header({"../../evil": entry()}, b"\x00" * 4), "not an allowed tensor name"),
        (with_header({"a/b": entry()}, b"\x00" * 4), "not an allowed tensor name"),
        (with_header({"a\x00b": entry()}, b"\x00" * 4), "not an allowed tensor name"),
        (with_header({"a": {"dtype": "F32"}}), "malformed"),
        (with_header({"a": entry(dtype="F8_E4M3")}, b"\x00" * 4), "has type"),
        (with_header({"a": entry(shape=(2**40,), offsets=(0, 2**42))}), "absurd shape"),
        (with_header({"a": entry(shape=(-1,))}, b"\x00" * 4), "absurd shape"),
        (with_header({"a": entry(shape=(2**31, 2**31, 2**31))}, b"\x00" * 4), "does not fit"),
        (with_header({"a": entry(shape=(1.0,))}, b"\x00" * 4), "absurd shape"),
        (with_header({"a": entry(shape=(True,))}, b"\x00" * 4), "absurd shape"),
        (with_header({"a": entry(offsets=(0, 400))}, b"\x00" * 4), "does not fit"),
        (with_header({"a": entry(), "b": entry()}, b"\x00" * 4), "overlap"),
        (with_header({"a": entry(offsets=(4, 8))}, b"\x00" * 8), "gaps"),
        (with_header({"a": entry()}, b"\x00" * 9), "extra bytes"),
        (with_header({"a": entry()}, b"\x00" * 2), "truncated"),
        (with_header(b'{"a": 1, "a": 2}'), "twice"),
    ],
)
def test_malformed_tensor_files_are_refused_with_the_fault(stored: Path, content: bytes, fault: str) -> None:
    put(stored, content)
    with pytest.raises(SummaryFormatError, match=fault):
        dd.DataSummary.load(stored)


def test_tensors_that_no_summary_has_are_refused(stored: Path) -> None:
    good = tensors_of(stored)
    changes: dict[str, tuple[dict[str, torch.Tensor], str]] = {
        "NaN": ({**good, "part0.images": torch.full((3, 1, 8, 8), float("nan"))}, "NaN or infinity"),
        "infinity": ({**good, "part0.images": torch.full((3, 1, 8, 8), float("inf"))}, "NaN or infinity"),
        "dtype": ({**good, "part0.images": good["part0.images"].double()}, "float32"),
        "shape": ({**good, "part0.images": torch.zeros(3, 1, 9, 8)}, "images must be"),
        "none": ({**good, "part0.images": torch.zeros(0, 1, 8, 8)}, "images must be"),
        "scalar": ({**good, "part0.images": torch.zeros(())}, "images must be"),
        "ids": ({**good, "part0.classes": torch.tensor([0, 1, 200], dtype=torch.uint8)}, "class ids lie outside"),
        "id type": ({**good, "part0.classes": torch.tensor([0.0, 1.0, 7.0])}, "class ids must be"),
        "undeclared": ({**good, "part0.classes": torch.tensor([0, 1, 2], dtype=torch.uint8)}, "declared classes"),
        "extra": ({**good, "part0.more": torch.zeros(1)}, "pixels store"),
        "no part": ({**good, "part1.images": torch.zeros(1)}, "no part uses"),
        "missing": ({"part0.images": good["part0.images"]}, "pixels store"),
    }
    for tensors, fault in changes.values():
        put(stored, save(tensors))
        with pytest.raises(SummaryFormatError, match=fault):
            dd.DataSummary.load(stored)


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["schema"], 99, "schema"),
        (["surprise"], 1, "surprise"),
        (["parts", 0, "name"], "os.system", "unknown"),
        (["parts", 0, "storage"], "uint8", "images must be"),
        (["parts", 0, "depth"], 3, "labels and storage"),
        (["parts"], [], "0 parts"),
        (["parts"], [{"name": "pixels"}] * 2000, "2000 parts"),
        (["spec", "shape"], [1, 8], "for images"),
        (["spec", "shape"], [1, 8, 9], "images must be"),
        (["spec", "shape"], [1, 8, -8], "below 1"),
        (["spec", "shape"], [1, "8", 8], "whole number"),
        (["spec", "num_classes"], 10**12, "num_classes"),
        (["spec", "num_classes"], 3, "classes"),
        (["spec", "class_names"], ["a"], "class names"),
        (["spec", "class_names"], ["a" * 10_000] * 10, "200 characters"),
        (["spec", "class_names"], ["\u001b[2J"] * 10, "printable"),
        (["spec", "class_names"], ["\ud800"] * 10, "printable"),
        (["spec", "surprise"], 1, "surprise"),
        (["spec", "normalisation", "surprise"], 1, "unknown or missing"),
        (["spec", "normalisation", "std"], [1e-300], "extreme"),
        (["recipe", "surprise"], 1, "surprise"),
        (["record", "method"], None, "texts"),
        (["record", "data"], {}, "texts"),
        (["record", "cites"], 5, "texts"),
        (["spec", "normalisation"], {"name": "standard", "mean": [0], "std": [0]}, "positive"),
        (["spec", "normalisation"], {"name": "standard", "mean": [0, 0, 0], "std": [1, 1, 1]}, "channels"),
        (["spec", "normalisation"], {"name": "zca", "unit_norm": False, "scale": 1, "sha256": ""}, "missing"),
        (["recipe", "loss"], "__import__", "loss"),
        (["recipe", "learning_rate"], -1, "positive"),
        (["tensors_sha256"], "0" * 64, "hash"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(stored: Path, path: list[Any], value: object, fault: str) -> None:
    file = stored / "config.json"
    config = json.loads(file.read_text())
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match=fault):
        dd.DataSummary.load(stored)


def test_a_shape_cannot_make_the_normalisation_blow_up(stored: Path) -> None:
    k = 3000
    put(
        stored,
        save(
            {"part0.images": torch.zeros(1, k, dtype=torch.uint8), "part0.classes": torch.zeros(1, dtype=torch.uint8)}
        ),
    )
    config = json.loads((stored / "config.json").read_text())
    config["parts"][0]["storage"] = "uint8"
    config["spec"] |= {"shape": [k], "normalisation": {"name": "standard", "mean": [0.0] * k, "std": [1.0] * k}}
    (stored / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match="for images"):
        dd.DataSummary.load(stored)


def test_missing_and_special_files_are_refused(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(SummaryFormatError, match="missing"):
        dd.DataSummary.load(tmp_path / "nowhere")
    (stored / "summary.safetensors").unlink()
    with pytest.raises(SummaryFormatError, match="missing"):
        dd.DataSummary.load(stored)
    (stored / "summary.safetensors").mkdir()
    with pytest.raises(SummaryFormatError, match="missing"):
        dd.DataSummary.load(stored)


def test_nothing_is_unpickled(stored: Path) -> None:
    np.savez(stored / "summary.safetensors", images=np.zeros(3))
    (stored / "summary.safetensors.npz").rename(stored / "summary.safetensors")
    put(stored, (stored / "summary.safetensors").read_bytes())
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(stored)


def test_mutated_summaries_raise_our_errors_or_work_and_take_no_memory(tmp_path: Path) -> None:
    outcome = json.loads(run(fuzzing.report, tmp_path, 700, said=tmp_path / "said"))
    assert outcome["others"] == []
    assert outcome["refused"] > 500 and outcome["loaded"] > 20, outcome
    assert outcome["refused"] + outcome["loaded"] == 700, outcome
    assert outcome["grown_mb"] < 100, outcome


def test_what_the_fuzzer_and_its_benchmark_report_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a loader that refuses, loads and breaks by turns."""
    turns, taken = itertools.cycle([None, SummaryFormatError("no"), KeyError("lost"), None, MemoryError()]), []
    fresh = [tmp_path / "only"]
    dd.distill(dd.load_data("digits"), dd.Method(factorization=Pixels(ipc=1))).save(fresh[0])

    def use(directory: Path) -> None:
        error = next(turns)
        taken.append(error)
        if error is not None:
            raise error

    monkeypatch.setattr(fuzzing, "good_summaries", lambda _: fresh)
    monkeypatch.setattr(fuzzing, "use", use)
    found = fuzzing.fuzz(tmp_path, 23)
    errors = [type(error) for error in taken[1:]]  # the first use is of the good summary
    assert (found["refused"], found["loaded"]) == (errors.count(SummaryFormatError), errors.count(type(None))) == (5, 9)
    assert [line.split(":")[0] for line in found["others"]] == [
        f"seed {seed}" for seed, error in enumerate(errors) if error in (KeyError, MemoryError)
    ]
    shown = hostile_summaries.row(found, 1.2)
    assert shown["inputs"] == 23 and shown["other exceptions"] == len(found["others"]) == 9
    assert {name: shown[name] for name in ("refused", "loaded", "grown_mb")} == {
        name: found[name] for name in ("refused", "loaded", "grown_mb")
    }


def test_a_few_stored_bytes_cannot_decode_to_gigabytes(tmp_path: Path) -> None:
    images = torch.zeros(3, 1, 512, 512, dtype=torch.uint8)
    target = dd.load_data({"x_train": images, "y_train": torch.arange(3)}, name="black")
    method = dd.Method(factorization=dd.images.MultiFormation(ipc=1, factor=2, storage="uint8"))
    path = dd.distill(target, method).save(tmp_path / "s")
    config = json.loads((path / "config.json").read_text())
    config["parts"][0]["factor"] = 64
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError, match="grow"):
        dd.DataSummary.load(path)


def test_a_generators_declared_size_is_checked_before_memory_is_taken(tmp_path: Path) -> None:
    generator = dd.images.TrainedGenerator(latent=2, width=2, steps=1)
    latents = dd.images.GeneratorLatents(ipc=1, generator=generator, init="noise")
    path = dd.distill(dd.load_data("digits"), dd.Method(factorization=latents)).save(tmp_path / "s")
    config = json.loads((path / "config.json").read_text())
    config["parts"][0] |= {"latent": 4096, "width": 1024}
    config["spec"]["shape"] = [1, 100_000, 100_000]
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SummaryFormatError):
        dd.DataSummary.load(path)
