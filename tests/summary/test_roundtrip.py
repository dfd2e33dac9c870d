from __future__ import annotations

import io
import json
import lzma
import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import ddcore as dd
from ddcore.errors import (
    InputDataError,
    OutputExistsError,
    SettingsError,
    SummaryFormatError,
    UnknownNameError,
    UnsupportedError,
)
from ddcore.images import LinearBases, Pixels, draw
from ddcore.parts import Recipe
from ddcore.summary import compressed_bytes


def selected(target: dd.TargetData, **settings: object) -> dd.DataSummary:
    return dd.distill(target, dd.Method(factorization=Pixels(**settings)))  # type: ignore[arg-type]


@pytest.mark.parametrize("normalisation", ["none", "standard", "zca", "zca-unit"])
@pytest.mark.parametrize("storage", ["float32", "fp16", "uint8"])
def test_a_loaded_summary_is_the_saved_one(tmp_path: Path, normalisation: str, storage: str) -> None:
    target = dd.load_data("digits", normalisation=normalisation)
    if (normalisation, storage) == ("zca-unit", "uint8"):
        with pytest.raises(UnsupportedError, match="zca-unit"):
            selected(target, ipc=2, storage=storage)
        return
    summary = selected(target, ipc=2, storage=storage)
    summary.save(tmp_path / "s")
    loaded = dd.DataSummary.load(tmp_path / "s")
    for a, b in zip(summary.tensors(), loaded.tensors(), strict=True):
        assert torch.equal(a, b) and a.dtype == b.dtype
    assert loaded.spec.normalisation.describe() == target.spec.normalisation.describe()
    assert (loaded.spec.shape, loaded.spec.classes, loaded.spec.class_names, loaded.spec.mirror) == (
        target.spec.shape,
        target.spec.classes,
        target.spec.class_names,
        False,
    )
    assert loaded.recipe == summary.recipe and loaded.record == json.loads(json.dumps(dict(summary.record)))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again/summary.safetensors").read_bytes() == (tmp_path / "s/summary.safetensors").read_bytes()


def test_stored_bytes_are_the_bytes_on_disk_without_the_container(few_digits: dd.TargetData, tmp_path: Path) -> None:
    for settings, expected in (
        ({"ipc": 2}, 6 * (64 * 4 + 1)),
        ({"ipc": 2, "storage": "uint8"}, 6 * 65),
        ({"ipc": 2, "storage": "fp16"}, 6 * 129),
    ):
        summary = selected(few_digits, **settings)
        assert summary.stored_bytes == expected
        path = summary.save(tmp_path / str(expected)) / "summary.safetensors"
        header = int.from_bytes(path.read_bytes()[:8], "little")
        assert path.stat().st_size - 8 - header == expected


def lzma_bytes(tensors: Iterable[torch.Tensor]) -> int:
    content = b"".join(t.numpy().tobytes() for t in tensors)
    return len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def test_numbers_are_compressed_by_lzma_and_pixels_by_the_better_of_png_and_lzma(few_digits: dd.TargetData) -> None:
    floats = selected(few_digits, ipc=20)
    (part,) = floats.parts
    in_order = [part.stored[name] for name in sorted(part.stored)]
    assert floats.compressed_bytes() == lzma_bytes(in_order) < floats.stored_bytes
    backwards = replace(part, stored=dict(reversed(part.stored.items())))
    assert replace(floats, parts=(backwards,)).compressed_bytes() == floats.compressed_bytes()
    ramp = torch.arange(32 * 32, dtype=torch.int64).mul(37).remainder(256).to(torch.uint8).view(1, 32, 32)
    smooth = torch.stack([(ramp * 0 + torch.arange(32) * 8 + i).to(torch.uint8) for i in range(16)])
    side_by_side = smooth.view(4, 4, 32, 32).permute(0, 2, 1, 3).reshape(128, 128)
    buffer = io.BytesIO()
    Image.fromarray(side_by_side.numpy()).save(buffer, format="PNG", optimize=True)
    ids = torch.zeros(16, dtype=torch.uint8)
    assert compressed_bytes([smooth, ids]) == min(buffer.tell() + lzma_bytes([ids]), lzma_bytes([smooth, ids]))
    assert compressed_bytes([torch.zeros(0, 1, 8, 8, dtype=torch.uint8)]) == 0


def test_storage_stands_beside_the_original(few_digits: dd.TargetData) -> None:
    summary = selected(few_digits, ipc=20, storage="uint8")
    storage = dd.storage(summary, few_digits, compress_original=True)
    assert storage.stored == 60 * 65 and storage.compressed == summary.compressed_bytes() < storage.stored
    assert storage.original == 120 * 65 and storage.share == pytest.approx(0.5)
    assert storage.original_compressed is not None and storage.original_compressed < storage.original


def test_an_existing_summary_is_not_replaced_by_accident(few_digits: dd.TargetData, tmp_path: Path) -> None:
    first, second = selected(few_digits, ipc=1), selected(few_digits, ipc=2)
    first.save(tmp_path)
    with pytest.raises(OutputExistsError, match="overwrite"):
        second.save(tmp_path)
    assert dd.DataSummary.load(tmp_path).sha256() == first.sha256()
    second.save(tmp_path, overwrite=True)
    assert dd.DataSummary.load(tmp_path).sha256() == second.sha256()


def test_pixels_beyond_the_unit_range_survive_bytes_with_a_span_of_their_own(few_digits: dd.TargetData) -> None:
    real = selected(few_digits, ipc=3)
    stretched = {**real.parts[0].stored, "images": real.parts[0].stored["images"] * 2 + 1}
    summary = dd.DataSummary((type(real.parts[0])(Pixels(), stretched),), real.spec)
    small = summary.quantize("uint8")
    invert = real.spec.normalisation.invert
    pixels, back = invert(summary.tensors()[0]), invert(small.tensors()[0])
    width = float(pixels.max().clamp_min(1) - pixels.min().clamp_max(0))
    assert width > 1.5
    assert float((pixels - back).abs().max()) <= 0.51 * width / 255
    assert small.stored_bytes == 9 * 65 + 8
    again = small.quantize("uint8")
    assert again.sha256() == small.sha256()


def test_what_would_not_load_again_is_not_written_and_the_old_summary_stays(
    few_digits: dd.TargetData, tmp_path: Path
) -> None:
    good = selected(few_digits, ipc=1)
    good.save(tmp_path)
    (part,) = good.parts
    bad = dd.DataSummary(
        (type(part)(part.factorization, {**part.stored, "images": part.stored["images"] * float("nan")}),), good.spec
    )
    with pytest.raises(SummaryFormatError, match="NaN"):
        bad.save(tmp_path, overwrite=True)
    assert dd.DataSummary.load(tmp_path).sha256() == good.sha256()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "examples.png",
        "summary.safetensors",
    ]
    dd.concat([good, good]).save(tmp_path, overwrite=True)
    assert len(dd.DataSummary.load(tmp_path)) == 2 * len(good)


def test_quantising_moves_pixels_by_half_a_grey_level_at_most(few_digits: dd.TargetData) -> None:
    summary = selected(few_digits, ipc=3)
    small = summary.quantize("uint8")
    assert small.stored_bytes == 9 * 65
    assert float((small.to_pixels() - summary.to_pixels()).abs().max()) <= 0.5 / 255 + 1e-6
    assert float((summary.quantize("fp16").tensors()[0] - summary.tensors()[0]).abs().max()) < 2e-3
    with pytest.raises(UnknownNameError, match="uint8"):
        summary.quantize("int3")


def test_a_union_holds_all_examples_whatever_their_decoders(few_digits: dd.TargetData, tmp_path: Path) -> None:
    a = selected(few_digits.of_classes([0]), ipc=2)
    b = selected(few_digits.of_classes([1, 7]), ipc=3, storage="uint8")
    both = dd.concat([a, b])
    inputs, targets = both.tensors()
    assert torch.equal(inputs, torch.cat([a.tensors()[0], b.tensors()[0]]))
    assert targets.tolist() == [0, 0, 1, 1, 1, 7, 7, 7]
    assert both.counts == {0: 2, 1: 3, 7: 3} and both.spec.classes == (0, 1, 7)
    assert both.stored_bytes == a.stored_bytes + b.stored_bytes
    both.save(tmp_path)
    assert dd.DataSummary.load(tmp_path).sha256() == both.sha256()


def test_members_say_where_the_examples_of_a_class_stand_in_a_union(few_digits: dd.TargetData) -> None:
    both = dd.concat([selected(few_digits, ipc={0: 2, 7: 1}), selected(few_digits, ipc={0: 1, 1: 2})])
    targets = both.tensors()[1]
    found = both.members()
    assert {c: places.tolist() for c, places in found.items()} == {0: [0, 1, 3], 1: [4, 5], 7: [2]}
    assert all(targets[places].tolist() == [c] * len(places) for c, places in found.items())
    assert both.ipc == 2 and len(both) == 6


def test_a_union_mirrors_only_where_all_of_it_may_be_mirrored(few_digits: dd.TargetData) -> None:
    digits = selected(few_digits, ipc=1)
    mirrored = replace(digits, spec=replace(digits.spec, mirror=True))
    assert [dd.concat(pair).spec.mirror for pair in ([digits, mirrored], [mirrored, digits], [mirrored] * 2)] == [
        False,
        False,
        True,
    ]


def test_a_union_remembers_what_it_is_made_of(few_digits: dd.TargetData) -> None:
    a, b = selected(few_digits, ipc=1), dd.distill(few_digits, dd.methods.herding(ipc=1, preset="paper"))
    both = dd.concat([a, b])
    assert [part["method"]["name"] for part in both.record["union_of"]] == ["custom", "herding"]
    assert both.record["method"] == {"name": "union"} and both.record["data"] == few_digits.name
    assert both.record["cites"] == list(b.record["cites"])


def test_the_hash_of_a_summary_sees_every_number_that_is_stored(few_digits: dd.TargetData) -> None:
    pixels = Pixels(ipc=1, labels="soft", storage="uint8")
    (part,) = selected(few_digits, ipc=1, storage="uint8").parts
    stored = {**part.stored, "span": torch.tensor([-1.0, 2.0]), "labels": torch.full((3, 10), 0.1)}
    whole = dd.DataSummary((type(part)(pixels, stored),), few_digits.spec)
    hashes = {whole.sha256()}
    for name, tensor in stored.items():
        changed = tensor.clone()
        changed.view(-1)[-1] = 5
        hashes.add(dd.DataSummary((type(part)(pixels, {**stored, name: changed}),), few_digits.spec).sha256())
    assert len(hashes) == 1 + len(stored) == 5


def test_pixels_of_a_summary_are_its_examples_before_normalisation_clipped(few_digits: dd.TargetData) -> None:
    summary = dd.distill(few_digits, dd.Method(factorization=Pixels(ipc=2, init="noise")))
    standard = few_digits.spec.normalisation.describe()
    by_hand = summary.tensors()[0] * standard["std"][0] + standard["mean"][0]
    assert float(by_hand.min()) < 0
    torch.testing.assert_close(summary.to_pixels(), by_hand.clamp(0, 1))


def test_hard_labels_become_one_hot_beside_soft_ones(few_digits: dd.TargetData) -> None:
    hard = selected(few_digits, ipc=1)
    soft_pixels = Pixels(ipc=1, labels="soft")
    stored = {**hard.parts[0].stored, "labels": torch.full((3, 10), 0.1)}
    soft = dd.DataSummary((type(hard.parts[0])(soft_pixels, stored),), hard.spec)
    targets = dd.concat([hard, soft]).tensors()[1]
    assert torch.equal(targets[:3].argmax(dim=1), torch.tensor([0, 1, 7])) and torch.equal(
        targets[3:], stored["labels"]
    )


def test_what_does_not_go_together_is_refused(few_digits: dd.TargetData) -> None:
    a = selected(few_digits, ipc=1)
    plain = dd.load_data("digits", normalisation="none").of_classes([0, 1])
    with pytest.raises(InputDataError, match="normalisation"):
        dd.concat([a, selected(plain, ipc=1)])
    with pytest.raises(SettingsError, match="recipes"):
        dd.concat([a, dd.DataSummary(a.parts, a.spec, Recipe(learning_rate=0.1))])
    with pytest.raises(SettingsError, match="at least one"):
        dd.concat([])


def test_a_summary_is_a_torch_dataset(few_digits: dd.TargetData) -> None:
    dataset = selected(few_digits, ipc=2).as_dataset()
    inputs, target = dataset[5]
    assert len(dataset) == 6 and inputs.shape == (1, 8, 8) and int(target) == 7


def test_the_picture_shows_the_pixels_in_a_row_per_class(few_digits: dd.TargetData) -> None:
    summary = selected(few_digits, ipc=2, storage="uint8")
    picture = draw(summary.decoded(), side=8, gap=2)
    assert tuple(picture.shape) == (3 * 10 + 2, 2 * 10 + 2, 3)
    pixels = (summary.to_pixels() * 255).round().to(torch.uint8)
    for row in range(3):
        for column in range(2):
            tile = picture[2 + 10 * row : 10 + 10 * row, 2 + 10 * column : 10 + 10 * column]
            assert torch.equal(tile, pixels[2 * row + column].permute(1, 2, 0).expand(8, 8, 3))


def test_citations_name_survey_method_and_data(small_dm: dd.Method, digits: dd.TargetData) -> None:
    text = dd.cite(dd.distill(digits, small_dm, steps=1))
    for title in ("Data Distillation: A Survey", "Distribution Matching", "Siamese", "Optical Recognition"):
        assert title in text
    keys = {key for m in dd.methods.METHODS.values() for key in m.build(ipc=1, preset="paper").cites}
    from ddcore.citations import ENTRIES

    assert keys <= set(ENTRIES)


def test_a_lazy_dataset_counts_from_both_ends_over_parts_and_pickles(few_digits: dd.TargetData) -> None:
    bases = dd.distill(few_digits, dd.Method(factorization=LinearBases(ipc=2, bases=3)))
    summary = dd.concat([selected(few_digits, ipc=1), bases])
    lazy, (whole, targets) = summary.as_dataset(lazy=True), summary.tensors()
    for dataset in (lazy, pickle.loads(pickle.dumps(lazy))):
        loaded = DataLoader(dataset, batch_size=4)
        assert torch.allclose(torch.cat([inputs for inputs, _ in loaded]), whole, atol=1e-6)
        assert torch.equal(torch.cat([labels for _, labels in loaded]), targets)
        assert torch.allclose(dataset[-1][0], whole[-1], atol=1e-6)
        with pytest.raises(IndexError, match="of 9"):
            dataset[9]
