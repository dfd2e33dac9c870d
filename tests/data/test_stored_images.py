"""Folders and tars of images: read once into a file, and drawn from it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ddcore as dd
from ddcore.errors import InputDataError, UnknownNameError
from ddcore.ground import mapped
from ddcore.images import cache

SIDE = 12


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DDCORE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder_of(path: Path, each: int = 6, parts: tuple[str, ...] = ("train", "test"), side: int = SIDE) -> Path:
    for p, part in enumerate(parts):
        for c, name in enumerate(("cat", "dog")):
            (path / part / name).mkdir(parents=True)
            for i in range(each):
                Image.fromarray(picture(100 * p + 10 * c + i, side, side)).save(path / part / name / f"{i}.png")
    return path


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_a_folder_gives_the_numbers_of_its_arrays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_AHEAD", 1)
    lazy = dd.load_data(folder_of(tmp_path / "pets"), name="pets")
    expected = np.stack([picture(10 * c + i) for c in (0, 1) for i in range(6)]).transpose(0, 3, 1, 2)
    assert mapped.is_mapped(lazy.train.inputs)
    assert np.array_equal(lazy.train.inputs.numpy(), expected) and lazy.train.targets.tolist() == [0] * 6 + [1] * 6
    assert lazy.test is not None
    held = dd.load_data(
        (lazy.train.inputs.clone(), lazy.train.targets, lazy.test.inputs.clone(), lazy.test.targets), name="pets"
    )
    assert not mapped.is_mapped(held.train.inputs)
    ours, theirs = lazy.spec.normalisation, held.spec.normalisation
    assert isinstance(ours, dd.images.Standardise) and isinstance(theirs, dd.images.Standardise)
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-12) and ours.std == pytest.approx(theirs.std, rel=1e-12)
    held = dd.load_data(held_arrays(held), name="pets", like=lazy.spec, class_names=lazy.spec.class_names)
    assert held.fingerprint() == lazy.fingerprint()
    method = dd.override(
        dd.methods.dm(ipc=1, preset="cpu"), "networks", dd.sources.FreshNetworks(dd.images.ConvNet(width=4, depth=1))
    )
    a, b = (dd.distill(data, method, steps=2).tensors()[0] for data in (lazy, held))
    assert torch.equal(a, b)
    protocol = dd.evaluation.PROTOCOLS["quick"]
    protocol = replace(protocol, training=replace(protocol.training, epochs=2))
    scores = [
        dd.evaluate(data, data, networks="convnet(width=4, depth=1)", protocol=protocol, runs=1).results[0].mean
        for data in (lazy, held)
    ]
    assert scores[0] == scores[1]


def held_arrays(data: dd.TargetData) -> tuple[torch.Tensor, ...]:
    assert data.test is not None
    return data.train.inputs, data.train.targets, data.test.inputs, data.test.targets


def test_the_middle_of_the_short_side_is_resized(tmp_path: Path) -> None:
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = np.arange(8, dtype=np.uint8)[None, :, None] * 30
    for name in ("a", "b"):
        (tmp_path / "x" / name).mkdir(parents=True)
        for i, pixels in enumerate((wide, wide.transpose(1, 0, 2))):
            Image.fromarray(pixels).save(tmp_path / "x" / name / f"{i}.png")
    data = dd.load_data(tmp_path / "x", size=4, split_by="draw")
    assert data.test is not None
    everything = torch.cat([data.train.inputs, data.test.inputs])
    expected = np.asarray(Image.fromarray(wide).resize((8, 4)))[:, 2:6].transpose(2, 0, 1)
    found = {bytes(image.numpy().tobytes()) for image in everything}
    assert found == {expected.tobytes(), np.ascontiguousarray(expected.transpose(0, 2, 1)).tobytes()}


def test_pixels_are_decoded_once_and_anew_when_a_file_or_a_setting_changes(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, decoded = folder_of(tmp_path / "pets", each=2, parts=("train",)), []
    real = cache.pixels_of
    monkeypatch.setattr(cache, "pixels_of", lambda *a: decoded.append(a) or real(*a))
    for count, change in (
        (4, lambda: None),
        (4, lambda: None),
        (8, lambda: os.utime(folder / "train" / "cat" / "0.png", ns=(0, 7))),
        (8, lambda: None),
    ):
        change()
        dd.load_data(folder)
        assert len(decoded) == count
    dd.load_data(folder, size=6)
    assert len(decoded) == 12 and len(list(own_cache.glob("*/pixels"))) == 3


def test_validation_folders_are_the_validation_split(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pets", parts=("train", "test", "val"))
    data = dd.load_data(folder)
    assert data.validation is not None and data.test is not None and len(data.train) == 12
    assert np.array_equal(data.validation.inputs[0].numpy(), picture(200).transpose(2, 0, 1))
    with pytest.raises(InputDataError, match="validation split already"):
        dd.load_data(folder, validation=0.2)
    (folder / "validation").mkdir()
    with pytest.raises(InputDataError, match="keep one"):
        dd.load_data(folder)


def test_tars_hold_the_images_of_a_folder(tmp_path: Path) -> None:
    pets, tars = folder_of(tmp_path / "pets"), tmp_path / "tars"
    tars.mkdir()
    for p, part in enumerate(("train", "test")):
        files: dict[str, bytes] = {}
        for c in (0, 1):
            for i in range(6):
                files[f"{c}/{i}.png"] = png(picture(100 * p + 10 * c + i))
                files[f"{c}/{i}.json"] = json.dumps({"label": c, "words": "a pet"}).encode()
                if i % 2:
                    files[f"{c}/{i}.cls"] = f"{c}\n".encode()
        names = [n for n in files if n.startswith("0")], [n for n in files if n.startswith("1")]
        for shard, some in enumerate(names):
            tar_of(tars / f"{part}-{shard:06}.tar", {n: files[n] for n in some})
    a, b = dd.load_data(pets), dd.load_data(tars)
    assert a.test is not None and b.test is not None
    for ours, theirs in ((a.train, b.train), (a.test, b.test)):
        assert torch.equal(ours.inputs, theirs.inputs) and torch.equal(ours.targets, theirs.targets)
    with pytest.raises(InputDataError, match=r"there is no .*nothing\.tar"):
        dd.load_data(tars / "train-000000.tar", test=tars / "nothing.tar")
    alone = dd.load_data(tars / "train-000000.tar", test=tars / "test-000000.tar")
    assert torch.equal(alone.train.inputs, b.train.inputs[:6]) and alone.test is not None and len(alone.test) == 6
    for shard in (0, 1):
        (tars / f"test-{shard:06}.tar").rename(tars / f"val-{shard:06}.tar")
    other = dd.load_data(tars)
    assert other.validation is None and other.test is not None and torch.equal(other.test.inputs, b.test.inputs)


def test_a_cut_tar_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    files = {
        f"{i}.{ending}": content for i in range(3) for ending, content in (("png", png(picture(i))), ("cls", b"0"))
    }
    whole = tar_of(tmp_path / "whole.tar", files).read_bytes()
    end = len(whole.rstrip(b"\0"))
    end += -end % 512
    with tarfile.open(tmp_path / "whole.tar") as tar:
        in_headers = [member.offset + 100 for member in tar]
    for cut in (*range(512, end + 1, 512), *in_headers, 700, end - 100):
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        with pytest.raises(InputDataError, match=r"cut\.tar (is not a whole|has no end mark)"):
            dd.load_data(tmp_path / "cut.tar")
    assert len(dd.load_data(tmp_path / "whole.tar").train) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.cls": None}, r"1 image \(1\.png\) without a class"),
        ({"1.cls": b"cat"}, r"1\.cls holds no class id"),
        ({"1.cls": b"-1"}, r"1\.cls holds no class id"),
        ({"1.jpg": b"x"}, r"1\.png and 1\.jpg"),
        ({"1.cls": None, "1.json": b"{"}, r"1\.json holds no class id"),
        ({"1.cls": None, "1.json": b'{"name": 3}'}, "without a class"),
    ],
)
def test_what_a_tar_lacks_is_said(tmp_path: Path, change: dict[str, bytes | None], message: str) -> None:
    files: dict[str, bytes | None] = {f"{i}.png": png(picture(i)) for i in range(3)}
    files |= {f"{i}.cls": b"0" for i in range(3)} | change
    tar = tar_of(tmp_path / "pets.tar", {n: c for n, c in files.items() if c is not None})
    with pytest.raises(InputDataError, match=message):
        dd.load_data(tar)


def test_corrupt_images_are_counted_and_left_out_when_asked(tmp_path: Path, own_cache: Path) -> None:
    folder = folder_of(tmp_path / "pets")
    (folder / "train" / "cat" / "1.png").write_bytes(b"no image")
    (folder / "train" / "dog" / "5.png").unlink()
    (folder / "train" / "dog" / "5.png").symlink_to("nothing")
    cut = (folder / "train" / "dog" / "3.png").read_bytes()
    (folder / "train" / "dog" / "3.png").write_bytes(cut[: len(cut) // 2])
    said = r"3 images \(cat/1\.png, dog/3\.png, dog/5\.png\) of 12 not readable"
    for _ in range(2):
        with pytest.raises(InputDataError, match=said):
            dd.load_data(folder)
    before = len(list(own_cache.iterdir()))
    for _ in range(2):
        with pytest.warns(UserWarning, match=said):
            data = dd.load_data(folder, corrupt="skip")
    assert len(list(own_cache.iterdir())) == before + 2  # the test split's pixels and lock alone are new
    kept = [(c, i) for c in (0, 1) for i in range(6) if (c, i) not in ((0, 1), (1, 3), (1, 5))]
    assert data.train.targets.tolist() == [c for c, _ in kept]
    expected = np.stack([picture(10 * c + i) for c, i in kept]).transpose(0, 3, 1, 2)
    assert np.array_equal(data.train.inputs.numpy(), expected)
    with pytest.raises(UnknownNameError, match="skip"):
        dd.load_data(folder, corrupt="ignore")
    for file in (folder / "train").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(InputDataError, match="none of 12 images"):
        dd.load_data(folder, corrupt="skip")


def test_small_images_are_refused_unless_enlarged(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pets", parts=("train",))
    Image.fromarray(picture(0, 6, 30)).save(folder / "train" / "cat" / "0.png")
    with pytest.raises(InputDataError, match=r"1 image \(cat/0\.png\) smaller than 8 x 8.*enlarge=True"):
        dd.load_data(folder, size=8)
    assert dd.load_data(folder, size=8, enlarge=True).spec.shape == (3, 8, 8)


def test_a_full_disk_is_said_before_work_and_during_it(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = folder_of(tmp_path / "pets"), shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda p: real(p)._replace(free=100))
    with pytest.raises(InputDataError, match=r"kept has 0\.0 GB free.*DDCORE_CACHE"):
        dd.load_data(folder)
    monkeypatch.setattr(shutil, "disk_usage", real)
    monkeypatch.setattr(cache.os, "fsync", full_disk)
    with pytest.raises(InputDataError, match=r"kept.*No space.*DDCORE_CACHE"):
        dd.load_data(folder)
    monkeypatch.undo()
    monkeypatch.setenv("DDCORE_CACHE", str(own_cache))
    assert not list(own_cache.glob("*.part")) and not list(own_cache.glob("*/pixels"))
    assert len(dd.load_data(folder).train) == 12


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def child_of(call: Callable[[Callable[[str], object]], None]) -> tuple[int, io.TextIOWrapper]:
    """Fork a child that calls ``call`` with what writes a line. Return its id and those lines."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, os.fdopen(reading)
    try:
        call(lambda line: os.write(writing, f"{line}\n".encode()))
    finally:
        os._exit(0)


def writer(folder: Path, seconds: float) -> Callable[[Callable[[str], object]], None]:
    """Return what loads a folder, and takes some seconds for each image."""
    real = cache.pixels_of

    def load(say: Callable[[str], object]) -> None:
        def slow(*arguments: object) -> bytes | None:
            say("decoding")
            time.sleep(seconds)
            return real(*arguments)  # type: ignore[arg-type]

        cache.pixels_of = slow
        say(f"{len(dd.load_data(folder).train)} loaded")

    return load


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole_and_others_wait(
    tmp_path: Path, own_cache: Path
) -> None:
    folder = folder_of(tmp_path / "pets")
    child, lines = child_of(writer(folder, 60))
    with lines:
        assert lines.readline() == "decoding\n"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    (part,) = own_cache.glob("*.part")
    Image.fromarray(picture(5)).save(folder / "train" / "cat" / "0.png")  # the killed one's key is not asked for again
    child, lines = child_of(writer(folder, 0.1))
    with lines:
        assert lines.readline() == "decoding\n"
        started = time.monotonic()
        data = dd.load_data(folder)
        assert time.monotonic() - started > 0.2  # it waited for the other one
        assert lines.read().endswith("12 loaded\n")
        os.waitpid(child, 0)
    assert not part.exists() and not list(own_cache.glob("*.part"))
    assert np.array_equal(data.train.inputs[0].numpy(), picture(5).transpose(2, 0, 1))


def test_a_file_that_was_cut_afterwards_is_refused(tmp_path: Path, own_cache: Path) -> None:
    folder = folder_of(tmp_path / "pets", parts=("train",))
    dd.load_data(folder)
    (pixels,) = own_cache.glob("*/pixels")
    os.truncate(pixels, 100)
    with pytest.raises(InputDataError, match="is damaged"):
        dd.load_data(folder)


def test_chosen_examples_of_a_file_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dd.load_data(folder_of(tmp_path / "pets"))
    everything = data.train.inputs.clone()
    monkeypatch.setattr(mapped, "HELD_BYTES", 3 * SIDE * SIDE * 4)
    monkeypatch.setattr(mapped, "LOT_BYTES", 3 * SIDE * SIDE * 2)
    for indices in ([3, 4, 5, 6, 7], [9, 2, 2, 11, 0], [1, 8], []):
        taken = data.train.take(torch.tensor(indices, dtype=torch.int64))
        assert torch.equal(taken.inputs, everything[indices])
        assert mapped.is_mapped(taken.inputs) == (len(indices) > 4)
    carved = data.with_validation(0.2)
    assert carved.validation is not None and mapped.is_mapped(carved.train.inputs)
    assert (
        carved.fingerprint()
        == dd.TargetData(
            data.name, carved.spec, dd.data.Split(carved.train.inputs.clone(), carved.train.targets)
        ).fingerprint()
    )


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_data_are_drawn_normalised_and_cut_without_being_held(tmp_path: Path) -> None:
    def measure(say: Callable[[str], object]) -> None:
        with (tmp_path / "zeros").open("wb+") as file:
            file.truncate(1000 * 3 * 224 * 224)
            inputs = mapped.mapped(file, (1000, 3, 224, 224), tmp_path)
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
        before = highest()
        fitted = dd.images.fit_normalisation("standard", inputs)
        spec = dd.images.ImageSpec((3, 224, 224), 2, (0, 1), normalisation=fitted)
        data = dd.TargetData("zeros", spec, dd.data.Split(inputs, torch.arange(1000) // 500))
        say(str(highest() - before))
        data.fingerprint()
        say(str(highest() - before))
        pool = dd.data.Pool(data.train, spec, torch.device("cpu"))
        for some in torch.randperm(1000).split(4):
            pool.batch(some)
        say(str(highest() - before))
        data.with_validation(0.1)
        say(str(highest() - before))

    child, lines = child_of(measure)
    with lines:
        more = [int(line) / 1e6 for line in lines]
    os.waitpid(child, 0)
    assert len(more) == 4 and max(more) < 60, f"{more} MB more than before, of 151 MB"


def highest() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
