"""Method ``auto``: the server names one for all clients, before the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from ddapps.federated.portfolio import method_named, require_open_choice
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.kept_results import KeptResults
from ddcore.errors import InputDataError

CHOICE_SECONDS = 600.0
"""After these the best candidate so far is taken. The record says so (``stopped_early``)."""


@dataclass(frozen=True)
class Named:
    """A method that was chosen.

    Attributes:
        settings: of the run, with the method in place of ``auto``.
        name: of the method in the portfolio, which is all that clients are told.
        record: what was tried, what that cost, and the runner-up; JSON data.
    """

    settings: Settings
    name: str
    record: Mapping[str, Any]


def named(
    settings: Settings,
    data: ServerData,
    progress: Callable[[str], None] | None = None,
    *,
    directory: Path | None = None,
    row: str = "auto",
) -> Named:
    """Choose a method on the server's validation split, for the bytes of all clients together.

    The server chooses, and once. A client with two classes would choose for a task of two classes,
    which nearly any method solves, and from few examples; what is trained is the union, of all
    classes and of all clients' bytes. And what a reply must be is agreed beforehand, so that there
    is one method. It costs no byte of any client's, and none of their data.

    Args:
        settings: of the run; ``bytes`` says what a client may store, ``clients`` how many they are.
        data: of the server.
        progress: called with lines of text.
        directory: where the choice is kept, so that a run that goes on does not choose again.
        row: for which it is made.

    Raises:
        InputDataError: the server has no validation split.
        UnsupportedError: the clients are private: then the method is a public constant.
        SettingsError: bytes or the number of clients are not known.
    """
    nbytes = require_open_choice(settings)
    if data.validation is None:
        raise InputDataError(
            "method 'auto' is chosen on a validation split of the server: ServerData(..., validation=)"
        )
    held = dd.TargetData("validation", data.spec, data.validation)

    def record_of_a_choice() -> dict[str, Any]:
        return dd.choose_method(
            held.with_train(torch.arange(len(held.train)), held.name),  # of the classes that it has
            nbytes=nbytes,
            seed=settings.seed,
            max_seconds=CHOICE_SECONDS,
            network=settings.network,
            joint=False,
            sample=True,
            device=settings.device,
            progress=progress,
        ).record()

    facts = {"settings": dd.describe(settings), "validation": held.fingerprint(), "version": dd.__version__}
    record = (
        record_of_a_choice()
        if directory is None
        else KeptResults(directory).get(f"{row} choice", facts, record_of_a_choice)
    )
    name = str(record["chosen"])
    return Named(replace(settings, method=method_named(data.spec, name, settings.network)), name, record)
