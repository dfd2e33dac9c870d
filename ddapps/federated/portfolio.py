"""The methods among which ``auto`` chooses, as client and server know them alike."""

from __future__ import annotations

import ddcore as dd
from ddapps.federated.terms import Terms
from ddcore.errors import UnknownNameError, UnsupportedError
from ddcore.settings import require


def method_named(spec: dd.Spec, name: str, network: str) -> dd.Method:
    """Return the method that the server names, which is one of the portfolio that all know.

    Args:
        spec: of the data.
        name: of the method.
        network: that it distils on: the run's, on which it was chosen.

    Raises:
        UnknownNameError: it is not.
    """
    portfolio = dd.portfolio(spec, joint=False)
    if name not in portfolio:
        raise UnknownNameError("method of the portfolio", name, portfolio)
    return portfolio[name].build().on_networks(network)


def require_open_choice(settings: Terms) -> int:
    """Return the bytes of all clients together, where the method of a run may be chosen for them.

    Raises:
        UnsupportedError: clients are private.
        SettingsError: bytes or the number of clients are not known.
    """
    if settings.private:
        raise UnsupportedError("a private run names its method: it may not depend on anybody's data")
    known = bool(settings.bytes) and settings.clients > 0
    require(known, "method 'auto' needs to know the bytes of a client (bytes), and how many there are (clients)")
    return dd.Budget.parse(settings.bytes).bytes * settings.clients
