from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError
from ddcore.images import LatentCodes
from ddcore.methods import FAMILIES, METHODS, compose
from ddcore.parts import FACTORIZATIONS
from ddcore.sources import ExpertSegments

SMALL = {
    "pixels": "pixels(storage=float32)",
    "multi_formation": "multi-formation(storage=float32)",
    "generator_latents": "generator-latents(storage=float32,generator.steps=5,generator.width=3,inversion_steps=5,learned=True)",
    "linear_bases": "linear-bases(storage=float32,bases=4)",
    "hallucinators": "hallucinators(storage=float32,hallucinators=2,width=1)",
    "latent_codes": "latent-codes(storage=float32,width=3,fitting_steps=5)",
    "frequencies": "frequencies(storage=float32,kept=12)",
    "low_resolution": "low-resolution(storage=float32,size=4)",
    "pyramid": "pyramid(storage=float32,every=1)",
}


def small(matching: str, factorization: str) -> dd.Method:
    method = compose(matching, factorization, ipc=2, preset="cpu", data="digits").with_steps(3)
    if hasattr(method.matching, "inner_steps"):
        method = dd.override(method, "matching.inner_steps", 3)
    if isinstance(method.networks, ExpertSegments):
        training = replace(method.networks.training, epochs=2)
        method = replace(method, networks=replace(method.networks, last_start=1, length=1, count=1, training=training))
    return method.on_networks("convnet(width=4)")


def test_every_factorization_is_here() -> None:
    """Of those that make images; tables have their own tests."""
    assert set(SMALL) == {name for name, kind in FACTORIZATIONS.items() if kind.modality == "images"}


@pytest.mark.parametrize("factorization", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_factorization_runs_under_every_family(
    few_digits: dd.TargetData, family: str, factorization: str
) -> None:
    method = small(family, factorization)
    start = dd.distill(few_digits, method.with_steps(0))
    end = dd.distill(few_digits, method)
    assert bool(torch.isfinite(end.tensors()[0]).all())
    before, after = start.parts[0].stored, end.parts[0].stored
    learned = [n for n in before if before[n].is_floating_point()]
    moved = [n for n in learned if not torch.equal(before[n], after[n])]
    assert learned
    assert moved == learned, f"{set(learned) - set(moved)} did not move"
    assert method.name.endswith(f" of {method.factorization.name}") and dd.cite(end)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].build(ipc=1, preset="paper").matching])
def test_any_methods_matching_takes_latent_codes_or_says_why_not(name: str) -> None:
    if name == "datm":
        with pytest.raises(UnsupportedError, match="soft labels"):
            compose(name, "latent-codes")
        return
    method = compose(name, LatentCodes(ipc=2), preset="cpu")
    assert type(method.matching) is type(METHODS[name].build(ipc=2, preset="cpu").matching)
    assert set(method.optimiser.group_learning_rates) >= {"codes", "decoders"}


def test_names_and_settings_that_are_not_there_are_refused() -> None:
    for matching, factorization in (("gradients", "pixels"), ("gradient", "latents")):
        with pytest.raises(UnknownNameError):
            compose(matching, factorization)
    with pytest.raises(SettingsError, match="no setting"):
        compose("gradient", "latent-codes(depth=3)")
    with pytest.raises(UnsupportedError, match="selects"):
        compose("herding", "pixels")
    assert compose("meta_model", "linear_bases(factor=1)", preset="paper").factorization == dd.images.LinearBases(
        factor=1
    )


@pytest.mark.parametrize("ipc", [{0: 1, 7: 2}, "clip:3"])
def test_the_matching_of_a_method_that_counts_numbers_goes_with_any_ipc(ipc: dd.factorization.Ipc) -> None:
    for name in ("linba", "kfs"):
        method = compose(name, "pixels", ipc=ipc, preset="cpu")
        assert method.factorization == dd.images.Pixels(ipc=ipc, storage="uint8")


@pytest.mark.parametrize("name", [n for n, published in METHODS.items() if published.at(1, "paper", None).matching])
def test_every_matching_goes_with_another_factorization_at_its_published_settings(name: str) -> None:
    kind = "pixels(labels=soft)" if name == "datm" else "linear-bases"
    method = compose(name, kind, ipc=1, preset="paper", data="cifar10")
    assert method.protocol is None
    assert method.normalisation == METHODS[name].at(1, "paper", "cifar10").normalisation
