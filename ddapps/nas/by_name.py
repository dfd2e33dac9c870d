"""Proxies by name: ``parameters``, ``dm:10``, ``early-stop:0.5``, ``combined:10(of=random:10)``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ddapps.nas.combined import CombinedProxy
from ddapps.nas.evaluator import COMBINED
from ddapps.nas.free import FREE
from ddapps.nas.proxies import EARLY_STOPPING, parse_trained
from ddapps.nas.proxy import FreeProxy, Proxy
from ddcore.errors import SettingsError
from ddcore.settings import settings_from_text, split_names


def parse_proxies(text: str) -> list[Proxy]:
    """Return the proxies of a comma-separated list.

    Such as ``dm:10,dm:10(pool=20,averaged=True),early-stop:1,parameters``.

    Raises:
        SettingsError: an entry has no size, or the list is empty, or names a proxy twice.
    """
    proxies = [parse_proxy(entry) for entry in split_names(text)]
    if not proxies:
        raise SettingsError("name at least one proxy, such as dm:10")
    return checked(proxies)


def checked(proxies: Sequence[Proxy]) -> list[Proxy]:
    """Return the proxies, or raise `SettingsError` where two have one name."""
    names = [proxy.name for proxy in proxies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{twice[0]} is named twice")
    return list(proxies)


def with_free(proxies: Sequence[Proxy]) -> list[Proxy]:
    """Return the proxies, and every free score that is not among them."""
    named = {proxy.name for proxy in proxies}
    return [*proxies, *(FreeProxy(kind) for kind in FREE if kind not in named)]


def parse_proxy(text: str) -> Proxy:
    """Return the proxy of a name, with settings in brackets.

    Names are ``method:ipc``, ``early-stop:epochs``, ``combined:pilot``, or that of a free score.

    Raises:
        SettingsError: it is of another form.
    """
    name = text.strip()
    if name in FREE:
        return FreeProxy(name)
    combined = re.fullmatch(rf"{COMBINED}\s*:\s*(\d+)\s*(\(.*\))?", name)
    if combined:
        plain = CombinedProxy(pilot=int(combined.group(1)))
        return settings_from_text(f"{COMBINED}{combined.group(2) or ''}", {COMBINED: plain}, "proxy")
    if ":" not in name:
        raise SettingsError(
            f"{text!r} is not of the form method:ipc, {EARLY_STOPPING}:epochs or {COMBINED}:pilot, such as dm:10, nor one of "
            f"{', '.join(FREE)}"
        )
    return parse_trained(name)
