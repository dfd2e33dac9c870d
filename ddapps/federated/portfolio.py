"""The methods among which ``auto`` chooses, as client and server know them alike."""

from __future__ import annotations

import ddcore as dd
from ddapps.federated.terms import Terms
from ddcore.errors import UnknownNameError
from ddcore.settings import require


def method_named(spec: dd.Spec, name: str) -> dd.Method:
    """Return the method that the server names, which is one of the portfolio that all know.

    Raises:
        UnknownNameError: it is not.
    """
    portfolio = dd.portfolio(spec, joint=False)
    if name not in portfolio:
        raise UnknownNameError("method of the portfolio", name, portfolio)
    return portfolio[name].build()


def bytes_of_all(settings: Terms) -> int:
    """Return the bytes that the summaries of all clients may store together."""
    known = bool(settings.bytes) and settings.clients > 0
    require(known, "method 'auto' needs to know the bytes of a client (bytes), and how many there are (clients)")
    return dd.Budget.parse(settings.bytes).bytes * settings.clients
