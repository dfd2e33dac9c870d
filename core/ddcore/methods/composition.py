"""Any matching with any factorization."""

from __future__ import annotations

from dataclasses import replace

from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.factorization import STORAGE
from ddcore.ground.optimiser import Optimiser
from ddcore.methods.catalogue import METHODS
from ddcore.methods.presets import settled_preset
from ddcore.parts import FACTORIZATIONS, Factorization, Ipc, Method
from ddcore.settings import override, settings_from_text

FAMILIES = {
    "gradient": "dsa",
    "distribution": "dm",
    "trajectory": "mtt",
    "meta-model": "linba_no_factorization",
    "kernel": "frepo",
}
"""The method whose matching stands for a family, where a family is asked for."""

CITES = {
    "multi_formation": "idc",
    "generator_latents": "it_gan",
    "linear_bases": "linba",
    "hallucinators": "haba",
    "latent_codes": "kfs",
    "frequencies": "fred",
}


def compose(
    matching: str,
    factorization: str | Factorization,
    *,
    ipc: Ipc | None = None,
    preset: str | None = None,
    data: str | None = None,
) -> Method:
    """Return the method that optimises a factorization by a matching.

    Matching, networks, augmentation and steps are those of a published method. Stored parameters
    move by Adam along a cosine, at the learning rates that the factorization names for its groups.

    Args:
        matching: a family (a key of ``FAMILIES``), or the name of a published method.
        factorization: a `Factorization`, or a name, with settings in brackets where they differ:
            ``"latent-codes(decoders=3)"``. Given by its name, preset ``cpu`` stores its numbers in
            one byte, unless it says ``storage=``.
        ipc: items per class; None: the factorization's own.
        preset: ``paper`` or ``cpu``: of the published method; default: `settled_preset`.
        data: name of the data.

    Example:
        ``compose("trajectory", "latent-codes", ipc=4, preset="cpu")``
    """
    preset = settled_preset(preset)
    name = FAMILIES.get(matching.replace("_", "-"), matching)
    if name not in METHODS:
        raise UnknownNameError("matching", matching, [*FAMILIES, *METHODS])
    if isinstance(factorization, str):
        named = {kind.replace("_", "-"): cls() for kind, cls in FACTORIZATIONS.items() if not cls.wraps}
        kind, bracket, settings = factorization.partition("(")
        factorization = settings_from_text(kind.replace("_", "-") + bracket + settings, named, "factorization")
        in_bytes = "uint8" in getattr(factorization, "storages", STORAGE)
        if preset == "cpu" and "storage" not in settings and in_bytes:
            factorization = override(factorization, "storage", "uint8")
    if ipc is not None:
        factorization = factorization.sized(ipc)
    published = METHODS[name]
    # Of a method that counts stored numbers the matching alone is wanted. It does not depend on
    # those numbers.
    items = None if published.counts_numbers else getattr(factorization, "ipc", 1)
    source = published.at(items, preset, data)
    if source.matching is None:
        raise UnsupportedError(f"{name} selects real examples: it has no matching to optimise a factorization by")
    if getattr(source.matching, "labels", "own") != "own" and getattr(factorization, "labels", "hard") == "hard":
        raise UnsupportedError(f"{name} assigns soft labels: of the factorizations, pixels(labels='soft') keep them")
    learned = {group: rate for group, rate in source.optimiser.group_learning_rates.items() if group == "platt"}
    step_sizes = getattr(source.matching, "step_sizes", None)
    if step_sizes is not None and step_sizes.learned != "fixed":
        source = override(source, "matching.step_sizes", replace(step_sizes, positive=True, floor=None))
        learned = {"step_sizes": 0.01}
    return replace(
        source,
        name=f"{name} of {factorization.name}",
        preset=preset,
        protocol=None,
        factorization=factorization,
        optimiser=Optimiser(
            "adam",
            learning_rate=0.01,
            group_learning_rates={**learned, **factorization.learning_rates()},
            schedule="cosine",
        ),
        cites=tuple(dict.fromkeys([*source.cites, CITES.get(factorization.name, source.cites[0])])),
    )
