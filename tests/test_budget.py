from __future__ import annotations

import re
from dataclasses import replace

import pytest

import ddcore as dd
from ddcore.errors import BudgetError, SettingsError
from ddcore.factorization import SharedDecoder
from ddcore.images import Frequencies, FreshGenerator, GeneratorLatents, Hallucinators, LatentCodes, LinearBases, Pixels
from ddcore.methods import METHODS, build_method
from tests.running import OF_IMAGES, shrunk, started


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2560", 2560), ("30kB", 30_000), ("1.5 MB", 1_500_000), ("4KiB", 4096), ("2mib", 2**21), ("7 B", 7)],
)
def test_texts_name_bytes(text: str, expected: int) -> None:
    assert dd.Budget.parse(text).bytes == expected


@pytest.mark.parametrize("text", ["", "kB", "-5", "10GB", "0", "1e3", "30 k B", "nan", "9" * 400])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"bytes"):
        dd.Budget.parse(text)


def test_what_an_ipc_costs_buys_it_back(few_digits: dd.TargetData) -> None:
    for ipc in (1, 3, 10):
        budget = dd.Budget.of(Pixels(ipc=ipc), few_digits)
        assert budget.bytes == 3 * ipc * (4 * 64 + 1)
        assert budget.fit(Pixels(), few_digits).ipc == ipc
    assert dd.Budget(budget.bytes - 1).fit(Pixels(ipc=7), few_digits).ipc == 9
    assert dd.Budget(10**9, beyond=True).fit(Pixels(), few_digits).ipc == 40, "not more than there are"


def test_more_than_the_data_have_is_no_budget(few_digits: dd.TargetData) -> None:
    most = len(few_digits.train) * (64 + 1)
    assert dd.Budget(most).fit(Pixels(storage="uint8", clip=True), few_digits).ipc == 40
    with pytest.raises(BudgetError, match=f"a budget of {most + 1} bytes is more than the {most} of the training"):
        dd.Budget(most + 1).fit(Pixels(), few_digits)


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if METHODS[name].build(ipc=1).matching])
def test_no_method_ever_exceeds_its_budget(few_digits: dd.TargetData, name: str) -> None:
    """The recipe's learned numbers are part of it, and what is stored is known before."""
    smallest = shrunk(name, ipc=1, steps=1)
    least = dd.Budget.of(smallest, few_digits).bytes
    for more in (0, 300, 2000):
        method = dd.Budget(least + more, beyond=True).fit(smallest, few_digits)
        summary = dd.distill(few_digits, method)
        assert summary.stored_bytes <= dd.Budget.of(method, few_digits).bytes <= least + more


def test_a_budget_chooses_what_is_left_at_its_default_alone(few_digits: dd.TargetData) -> None:
    chosen = dd.Budget(3000).fit(LatentCodes(storage="uint8"), few_digits)
    kept = dd.Budget(3000).fit(LatentCodes(storage="uint8", width=2), few_digits)
    assert chosen.width > kept.width == 2 and kept.ipc > chosen.ipc  # type: ignore[operator]
    shared = chosen.shared_bytes(few_digits.spec)
    assert shared <= 1200 < dd.override(chosen, "width", chosen.width + 1).shared_bytes(few_digits.spec)


def test_a_class_with_fewer_gives_what_it_has() -> None:
    spec, available = dd.images.ImageSpec(shape=(1, 8, 8), num_classes=2, classes=(0, 1)), {0: 3, 1: 50}
    sized = Pixels(storage="uint8").within(8 + 65 * 23, spec, available)
    assert sized.ipc == "clip:20" and sized.counts_for(available) == {0: 3, 1: 20}
    assert sized.max_bytes(spec, available) == 8 + 65 * 23


@pytest.mark.parametrize("storage", ["uint8", "float32"])
@pytest.mark.parametrize("kind", [LinearBases, LatentCodes, Hallucinators, Frequencies, GeneratorLatents])
def test_what_a_budget_buys_a_larger_one_buys_too(kind: type[SharedDecoder], storage: str) -> None:
    """Sizes at their defaults grow with the budget.

    They never grow so far that a class is left without its item.
    """
    spec = dd.images.ImageSpec(shape=(1, 8, 8), num_classes=36, classes=tuple(range(36)))
    unsized = kind(storage=storage)  # type: ignore[call-arg]
    with pytest.raises(BudgetError) as error:
        dd.Budget(1).fit(unsized, spec)
    least = int(re.search(r"(\d+) are the least", str(error.value)).group(1))  # type: ignore[union-attr]
    for nbytes in (least + 1, *range(least, 4 * least, max(1, least // 9))):
        sized = dd.Budget(nbytes).fit(unsized, spec)
        assert dd.Budget.of(sized, spec).bytes <= nbytes
    with pytest.raises(BudgetError, match=f"{least} are the least"):
        dd.Budget(least - 1).fit(unsized, spec)


@pytest.mark.parametrize("name", ["linba", "haba", "kfs", "gtn", "it_gan"])
@pytest.mark.parametrize("ipc", [1, 10, 50])
def test_published_sizes_are_sizes_that_can_be_decoded(name: str, ipc: int) -> None:
    spec = dd.images.ImageSpec(shape=(3, 32, 32), num_classes=10, classes=tuple(range(10)))
    factorization = build_method(name, ipc=ipc).factorization
    assert isinstance(factorization, SharedDecoder)
    items = sum(factorization.counts_for(dict.fromkeys(range(10), 5000)).values()) // factorization.each
    assert factorization._excess(items, spec) == ""


def test_sizes_beyond_decoding_are_refused_before_the_run(few_digits: dd.TargetData) -> None:
    monstrous = GeneratorLatents(generator=FreshGenerator(width=1024), ipc=40, init="noise")
    spec = replace(few_digits.spec, shape=(1, 5000, 5000))
    run = started(few_digits)
    run.spec = spec
    with pytest.raises(SettingsError, match="fewer items"):
        monstrous.start(run)


def test_bases_are_never_more_than_the_library_takes() -> None:
    spec = dd.images.ImageSpec(shape=(3, 96, 96), num_classes=10, classes=tuple(range(10)))
    assert dd.Budget.parse("300MB").fit(LinearBases(), spec).bases == 4096


@pytest.mark.parametrize("name", ["dm", "idc", "linba", "haba", "kfs", "gtn"])
def test_methods_by_name_take_bytes(few_digits: dd.TargetData, name: str) -> None:
    budget = dd.Budget(20_000, beyond=True)
    method = build_method(name, preset="cpu", target=few_digits, budget=budget)
    assert dd.Budget.of(method, few_digits).bytes <= budget.bytes
    with pytest.raises(BudgetError, match=r"least|recipe"):
        build_method(name, preset="cpu", target=few_digits, budget=dd.Budget(30))
    with pytest.raises(SettingsError, match="target"):
        build_method(name, budget=budget)


def test_methods_that_count_numbers_store_as_many_as_images(few_digits: dd.TargetData) -> None:
    for name in ("linba", "kfs"):
        method = build_method(name, ipc=4, preset="paper", target=few_digits, data="mnist")
        images = dd.Budget.of(Pixels(ipc=4), few_digits).bytes
        assert 0.8 * images < dd.Budget.of(method, few_digits).bytes <= images
    assert build_method("linba", ipc=1).factorization == LinearBases(ipc=113, init="noise")
    with pytest.raises(SettingsError, match="one number"):
        build_method("linba", ipc={0: 1})


def test_a_recipe_larger_than_the_budget_is_refused(few_digits: dd.TargetData) -> None:
    with pytest.raises(BudgetError, match="recipe"):
        dd.Budget(100).fit(dd.methods.gtn(), few_digits)
