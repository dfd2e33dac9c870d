"""Coresets as methods: a rule selects real examples, or makes some of them. No step is taken."""

from __future__ import annotations

from ddcore.coresets import FeatureSpace, Forgetting, Herding, KCenter, KMeans, RandomSelection
from ddcore.images import Pixels
from ddcore.interactions import ChosenUsers, HeadUsers, SVPUsers
from ddcore.methods.presets import settled_preset
from ddcore.parts import CoresetRule, Ipc, Method


def _selection(rule: CoresetRule, ipc: Ipc, preset: str | None, *cites: str) -> Method:
    pixels = Pixels(ipc=ipc, init=rule, storage="uint8", clip=True)
    # Presets of most rules do not differ: there is nothing to say.
    return Method(name=rule.name, preset=settled_preset(preset, say=False), cites=cites, factorization=pixels)


def _space(preset: str) -> FeatureSpace:
    return FeatureSpace("network" if preset == "paper" else "inputs")


def random(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Select uniformly within each class."""
    return _selection(RandomSelection(), ipc, preset)


def herding(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Follow the class mean (Welling 2009).

    ``paper``, and on graphs: in features of a trained network; ``cpu``: in pixels.
    """
    preset = settled_preset(preset)
    return _selection(Herding(_space(preset)), ipc, preset, "herding")


def k_center(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Cover each class (Sener & Savarese 2018).

    ``paper``, and on graphs: in features of a trained network; ``cpu``: in pixels.
    """
    preset = settled_preset(preset)
    return _selection(KCenter(_space(preset)), ipc, preset, "k_center")


def k_means(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Cluster each class and take the centres (Lloyd 1982).

    They are means of real examples.
    """
    return _selection(KMeans(), ipc, preset, "k_means")


def forgetting(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Select what training forgets most often (Toneva et al. 2019).

    ``paper``: 200 epochs of training; ``cpu``: 20.
    """
    preset = settled_preset(preset)
    return _selection(Forgetting(epochs=200 if preset == "paper" else 20), ipc, preset, "forgetting")


def head_users(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Select the users with the most items."""
    return _users(HeadUsers(), ipc, preset)


def svp_cf(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Select the users whose items a small model finds hardest (Sachdeva et al. 2022)."""
    return _users(SVPUsers(), ipc, preset, "svp_cf")


def _users(rule: CoresetRule, ipc: Ipc, preset: str | None, *cites: str) -> Method:
    users, preset = ChosenUsers(ipc=ipc, init=rule), settled_preset(preset, say=False)
    return Method(name=rule.name, preset=preset, cites=cites, factorization=users)
