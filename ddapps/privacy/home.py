"""Where an owner's ledgers are: one for each dataset, in one place."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ddcore.errors import LedgerError, Setting
from ddcore.parts import TargetData, example_digests

VARIABLE = "DDAPPS_LEDGERS"
NO_LEDGER = "no ledger"
"""In place of a ledger's file: nothing remembers what is spent. For tests, and for public data."""


def ledger_home() -> Path:
    """Return the folder of the owner's ledgers.

    It is what the variable ``DDAPPS_LEDGERS`` names, else ``ddapps/ledgers`` in the user's data
    folder (``XDG_DATA_HOME``, or ``~/.local/share``).
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "ddapps" / "ledgers"


def ledger_of(target: TargetData) -> Path:
    """Return the file of a dataset's ledger, which the same records find again.

    Its name is a hash with the home's salt: it tells nothing to who does not hold the data.

    Raises:
        LedgerError: the home cannot be written.
    """
    home = ledger_home()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        salt = _salt(home / "salt")
    except OSError as error:
        raise LedgerError(
            f"{home} cannot be written, so that nothing would remember what is spent: name a folder for the ledgers by "
            f"{VARIABLE}, or a file by ",
            Setting("ledger"),
        ) from error
    return home / f"{hashlib.sha256(salt + records_digest(target).encode()).hexdigest()[:32]}.json"


def records_digest(target: TargetData) -> str:
    """Return a hash of the training examples: of nothing else, and whatever their order is.

    So the same records have one ledger, by which name, file or normalisation they come.
    """
    return hashlib.sha256(b"".join(sorted(example_digests(target.train)))).hexdigest()


def _salt(path: Path) -> bytes:
    """Return the home's salt; the first to ask makes it."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    salt = path.read_bytes()
    if len(salt) != 32:
        raise LedgerError(f"{path} is damaged: restore it from a copy, or no ledger beside it is found again")
    return salt
