"""Settings of a federated run.

In a Flower project they stand in ``[tool.flwr.app.config.distillation]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import ddcore as dd
from ddapps.federated.forms import FORMS
from ddapps.federated.terms import Terms
from ddapps.sizing import Compression
from ddcore.errors import BudgetError, UnknownNameError, did_you_mean
from ddcore.settings import require

PREFIX = "distillation."


@dataclass(frozen=True)
class Settings(Terms):
    """The terms of a run, with the form that they name. Flower hands the same to all.

    Attributes are those of `ddapps.federated.terms.Terms`.
    """

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UnknownNameError("form", self.form, FORMS)
        super().__post_init__()

    def require_consistent(self) -> None:
        """Raise unless the settings go together: `SettingsError`, `UnsupportedError`."""
        require(
            self.counts == "public" or self.private,
            "class sizes are noised or withheld of private clients: set epsilon, or counts = 'public'",
        )
        require(
            self.counts != "withheld" or self.examples > 0,
            "where class sizes are withheld, a client's number of examples must be public: set examples",
        )
        require(
            self.counts != "withheld" or self.weighting == "uniform",
            "withheld class sizes cannot weigh: weighting = 'uniform'",
        )
        require(
            self.levels == 256 or self.storage == "uint8",
            f"fewer levels are of pixels in bytes: storage = 'uint8', or levels = 256, not {self.storage!r} with {self.levels}",
        )
        require(
            not (self.private and self.max_seconds),
            "where a private run stops by the clock, its steps would tell of its draws: max_seconds = 0 with epsilon",
        )
        require(
            not self.supplement or (FORMS[self.form].adds and not self.private),
            f"form {self.form!r}{' with epsilon' if self.private else ''} cannot ask for classes again: supplement = 0",
        )
        require(
            not self.supplement or self.rounds > 1, "a supplement comes after the first round: set rounds = 2 or more"
        )
        FORMS[self.form].check(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Return the settings in a Flower run's configuration.

        They are its keys that start with ``distillation.``; others are the user's own.

        Raises:
            SettingsError: a key that is no setting, or a value of the wrong kind.
        """
        settings = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
        return _read(json.dumps(settings, sort_keys=True))

    def to_config(self) -> dict[str, bool | float | int | str]:
        """Return the settings that differ from the defaults, as a Flower run's configuration.

        A method that has no name of its own stays out.
        """
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        if isinstance(self.method, dd.Method):
            del changed["method"]
        return {PREFIX + name.replace("_", "-"): value for name, value in changed.items()}

    @property
    def chosen_method(self) -> str:
        """Name of the method that clients distil with."""
        return self.method.name if isinstance(self.method, dd.Method) else self.method or FORMS[self.form].method

    @property
    def cites(self) -> tuple[str, ...]:
        """Keys of ``ddcore.citations`` for the form."""
        return FORMS[self.form].cites

    @property
    def one_answer(self) -> bool:
        """Whether a client sends one summary, whatever the round."""
        return FORMS[self.form].stays

    @property
    def whole(self) -> bool:
        """Whether clients send all of their examples."""
        return FORMS[self.form].whole

    @property
    def compression(self) -> Compression:
        """The method, before its size is known."""
        return FORMS[self.form].compression(self)


def equal_share(total: str, clients: int) -> str:
    """Return what each client may store of bytes in all, as the setting ``bytes``.

    Equal shares need nothing of clients' data: what they have is theirs to know. A client of few
    classes sends more examples of each.

    Raises:
        BudgetError: it is less than a byte.
    """
    share = dd.Budget.parse(total).bytes // clients
    if share < 1:
        raise BudgetError(f"{total} in all are less than a byte for each of {clients} clients: give more")
    return str(share)


@lru_cache(maxsize=16)
def _read(text: str) -> Settings:
    """Return the settings in a JSON object: a client reads the same ones with every message."""
    settings = {key.replace("-", "_"): value for key, value in json.loads(text).items()}
    unknown = sorted(set(settings) - {field.name for field in fields(Settings)})
    if unknown:
        known, given = [field.name.replace("_", "-") for field in fields(Settings)], unknown[0].replace("_", "-")
        require(False, f"{PREFIX}{given} is no setting{did_you_mean(given, known)}: choose among {', '.join(known)}")
    found = Settings()
    for name, value in settings.items():
        found = dd.override(found, name, value)
    found.require_consistent()
    return found
