"""The table of published methods: a new one is a new file and one entry here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ddcore.budget import Budget
from ddcore.errors import UnknownNameError
from ddcore.images import Pixels
from ddcore.methods.cafe import cafe
from ddcore.methods.datm import datm
from ddcore.methods.dc import dc, dsa
from ddcore.methods.dcc import dcc
from ddcore.methods.dd import dd
from ddcore.methods.distill_cf import distill_cf
from ddcore.methods.dm import dm
from ddcore.methods.frepo import frepo
from ddcore.methods.ftd import ftd
from ddcore.methods.g_vbsm import g_vbsm
from ddcore.methods.gcond import doscond, gcdm, gcond
from ddcore.methods.gtn import gtn
from ddcore.methods.haba import haba
from ddcore.methods.idc import idc, idc_i
from ddcore.methods.it_gan import it_gan
from ddcore.methods.kfs import kfs
from ddcore.methods.kip import kip
from ddcore.methods.linba import linba
from ddcore.methods.linba_no_factorization import linba_no_factorization
from ddcore.methods.linear_gradient_matching import linear_gradient_matching
from ddcore.methods.mtt import mtt
from ddcore.methods.ncfm import ncfm
from ddcore.methods.psg import psg
from ddcore.methods.rcig import rcig
from ddcore.methods.rded import rded
from ddcore.methods.rfad import rfad
from ddcore.methods.selection import forgetting, head_users, herding, k_center, k_means, random, svp_cf
from ddcore.methods.sfgc import sfgc
from ddcore.methods.sre2l import cda, sre2l
from ddcore.methods.sucholutsky import sucholutsky
from ddcore.methods.tesla import tesla
from ddcore.parts import Ipc, Method, Spec, TargetData
from ddcore.settings import override, require


@dataclass(frozen=True)
class Published:
    """A published method.

    Attributes:
        build: returns the method for an ``ipc`` and a ``preset``.
        paper: its source, in short.
        measured: what has been measured of it (docs/results.md has the numbers).
        counts_numbers: whether its source's ``ipc`` counts stored numbers: as many as that many
            images have. ``ipc=None`` then leaves the sizes of its factorization at their defaults.
    """

    build: Callable[..., Method]
    paper: str
    measured: str
    counts_numbers: bool = False

    @property
    def name(self) -> str:
        """The name by which the method is chosen."""
        return self.build.__name__

    def at(self, ipc: Ipc | None, preset: str | None, data: str | None, modality: str | None = None) -> Method:
        """Return the method.

        Data and modality reach those that have settings for some data sets, or modalities.
        """
        known = {"data": data, "modality": modality}
        wanted = {key: known[key] for key in known if key in inspect.signature(self.build).parameters}
        return self.build(ipc=ipc, preset=preset, **wanted)

    def describe(self) -> dict[str, Any]:
        """Return the entry of ``ddapps methods --json``.

        Steps are those at one example per class.
        """
        paper, cpu = self.build(ipc=1, preset="paper"), self.build(ipc=1, preset="cpu")
        return {
            "name": self.name,
            "family": paper.matching.family if paper.matching else "selection",
            "factorization": paper.factorization.name,
            "networks": type(paper.networks).__name__ if paper.matching else "none",
            "steps": {"paper": paper.steps, "cpu": cpu.steps},
            "paper": self.paper,
            "measured": self.measured,
        }


_MATRIX = "its factorization and family: digits, 2560 bytes, quick"
_SIXTEEN = f"{_MATRIX}; MNIST, 16 kB, 1.5 minutes"
_DIGITS = "digits, ipc 1 and 10, protocols dc, dsa, quick"

_FAIR = "CIFAR-10, ipc 10, narrow network, protocols hard, fixed-soft and teacher"

METHODS: dict[str, Published] = {
    method.name: method
    for method in (
        Published(dc, "Zhao et al. 2021, arXiv:2006.05929", f"{_DIGITS}; MNIST, 6 minutes at ipc 1"),
        Published(dsa, "Zhao & Bilen 2021, arXiv:2102.08259", f"{_DIGITS}; MNIST, 6 minutes each"),
        Published(dcc, "Lee et al. 2022, arXiv:2202.02916", f"{_DIGITS} (ipc 10: not dsa)"),
        Published(
            idc, "Kim et al. 2022, arXiv:2205.14959", "digits, ipc 1, protocols dc and quick; MNIST, 6 minutes each"
        ),
        Published(idc_i, "Kim et al. 2022, arXiv:2205.14959", "digits, ipc 1, protocols dc and quick"),
        Published(
            dm,
            "Zhao & Bilen 2023, arXiv:2110.04181",
            f"{_DIGITS}; MNIST, 1000 (ipc 1) and 300 (ipc 10) of 20 000 steps",
        ),
        Published(
            linear_gradient_matching,
            "Cazenavette et al. 2025, arXiv:2511.16674",
            "digits, ipc 1, a ConvNet of width 16 as backbone",
        ),
        Published(ncfm, "Wang et al. 2025, arXiv:2502.20653", "digits, narrow network, ipc 1 and 10, protocol dc"),
        Published(cafe, "Wang et al. 2022, arXiv:2203.01531", _DIGITS),
        Published(it_gan, "Zhao & Bilen 2022, arXiv:2204.07513", _DIGITS),
        Published(
            psg,
            "Chen et al. 2022, arXiv:2211.04446",
            "digits (ipc 10), MNIST and Fashion-MNIST (ipc 20, 200 questions), at epsilon 10 and 1",
        ),
        Published(dd, "Wang et al. 2018, arXiv:1811.10959", _DIGITS),
        Published(linba_no_factorization, "Deng & Russakovsky 2022, arXiv:2206.02916", _DIGITS),
        Published(kip, "Nguyen et al. 2021, arXiv:2011.00050", _DIGITS),
        Published(rfad, "Loo et al. 2022, arXiv:2210.12067", _DIGITS),
        Published(frepo, "Zhou et al. 2022, arXiv:2206.00719", _DIGITS),
        Published(rcig, "Loo et al. 2023, arXiv:2302.06755", "digits, narrow network, 100 steps, quick"),
        Published(mtt, "Cazenavette et al. 2022, arXiv:2203.11932", _DIGITS),
        Published(tesla, "Cui et al. 2022, arXiv:2211.10586", _DIGITS),
        Published(ftd, "Du et al. 2023, arXiv:2211.11004", "digits, ipc 1, protocols dc, dsa, quick"),
        Published(datm, "Guo et al. 2024, arXiv:2310.05773", "digits, ipc 1, on a validation split"),
        Published(linba, "Deng & Russakovsky 2022, arXiv:2206.02916", _SIXTEEN, counts_numbers=True),
        Published(haba, "Liu et al. 2022, arXiv:2210.16774", _SIXTEEN),
        Published(kfs, "Lee et al. 2022, arXiv:2208.10494", _SIXTEEN, counts_numbers=True),
        Published(gtn, "Such et al. 2020, arXiv:1912.07768", "digits, ipc 10, narrow network, 90 seconds, quick"),
        Published(gcond, "Jin et al. 2022, arXiv:2110.07580", "Cora, 1.3, 2.6 and 5.2 %, 100 networks"),
        Published(doscond, "Jin et al. 2022, arXiv:2206.07746", "Cora, drawn edges; MUTAG, NCI1"),
        Published(gcdm, "Liu et al. 2022, arXiv:2206.13697", "Cora, settings of ours"),
        Published(sfgc, "Zheng et al. 2023, arXiv:2306.02664", "Cora, preset cpu"),
        Published(distill_cf, "Sachdeva et al. 2022, arXiv:2206.02626", "MovieLens-latest-small, 100 and 500 users"),
        Published(
            sucholutsky, "Sucholutsky & Schonlau 2021, arXiv:1910.02551", "SMS spam, preset cpu; Banking77, 60 steps"
        ),
        Published(sre2l, "Yin et al. 2023, arXiv:2306.13092", _FAIR),
        Published(cda, "Yin & Shen 2024, arXiv:2311.18838", "works; not measured"),
        Published(g_vbsm, "Shao et al. 2024, arXiv:2311.17950", "works; not measured"),
        Published(rded, "Sun et al. 2024, arXiv:2312.03526", _FAIR),
        Published(random, "baseline", _DIGITS),
        Published(herding, "Welling 2009", _DIGITS),
        Published(k_center, "Sener & Savarese 2018, arXiv:1708.00489", _DIGITS),
        Published(k_means, "Lloyd 1982, doi:10.1109/TIT.1982.1056489", "four tables, 1 and 10 per class, quick"),
        Published(forgetting, "Toneva et al. 2019, arXiv:1812.05159", _DIGITS),
        Published(head_users, "baseline", "MovieLens-latest-small, 100 and 500 users"),
        Published(svp_cf, "Sachdeva et al. 2022, arXiv:2201.04768", "MovieLens-latest-small, 100 and 500 users"),
    )
}

SELECTION = tuple(name for name, published in METHODS.items() if published.build(ipc=1, preset="cpu").matching is None)
"""Names of methods that select real examples."""


def build_method(
    name: str,
    *,
    ipc: Ipc = 10,
    preset: str | None = None,
    data: str | None = None,
    target: TargetData | Spec | None = None,
    budget: Budget | None = None,
    storage: str | None = None,
    clip: bool = False,
    adjust: Callable[[Method], Method] | None = None,
) -> Method:
    """Return a published method by its name.

    Args:
        name: a key of ``METHODS``.
        ipc: examples per class. For a method whose source counts stored numbers: the images per
            class that would have as many.
        preset: ``paper`` or ``cpu``; default: `settled_preset`.
        data: name of the data, for methods whose source has settings of its own for some data sets;
            default: the target's.
        target: the data, for sizes that depend on its shape: those of methods that count stored
            numbers, and of budgets. Give its `Spec` alone where the sizes of classes must not be
            read.
        budget: bytes in place of ``ipc``; it needs the target.
        storage: how numbers are stored, instead of the preset's: ``float32``, ``fp16`` or
            ``uint8``.
        clip: whether pixels, where they are what is stored, are kept in [0, 1]. In bytes they then
            cost what real images cost.
        adjust: changes the method before a budget chooses its sizes: its labels, say.

    Raises:
        BudgetError: the budget does not buy one item per class.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    published = METHODS[name]

    def at(items: Ipc | None) -> Method:
        spec = target.spec if isinstance(target, TargetData) else target
        modality = None if spec is None else spec.modality
        method = published.at(items, preset, data or getattr(target, "name", None), modality)
        if spec is not None:
            method = method.suited_to(spec)
        if adjust is not None:
            method = adjust(method)
        if storage is not None:
            method = override(method, "factorization.storage", storage)
        return replace(method, factorization=method.factorization.clipped()) if clip else method

    if target is None:
        require(budget is None, "a budget in bytes needs the data: target=")
        return at(ipc)
    if published.counts_numbers:
        unsized = at(None)
        images = Pixels(ipc=ipc, storage=getattr(unsized.factorization, "storage", "float32"))
        return (budget or Budget.of(images, target)).fit(unsized, target)
    if budget is None:
        return at(ipc)
    # Other settings follow the number of examples, which the budget says.
    first = budget.fit(at(1), target)
    return budget.fit(at(getattr(first.factorization, "ipc", 1)), target)
