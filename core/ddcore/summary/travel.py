"""Summaries at addresses: fetched into a folder of their own, read there by the one loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ddcore.errors import AddressError, OutputExistsError
from ddcore.ground.addresses import exists, fetch, is_address, upload, within
from ddcore.ground.tensorfile import MAX_FILE
from ddcore.summary.card import CARD, MAX_CARD
from ddcore.summary.content import Content
from ddcore.summary.files import CONFIG, MAX_CONFIG, NORMALISATION, TENSORS, write_summary
from ddcore.summary.measured import EVALUATIONS, MAX_BYTES

LIMITS = {CONFIG: MAX_CONFIG, TENSORS: MAX_FILE, NORMALISATION: MAX_FILE, EVALUATIONS: MAX_BYTES, CARD: MAX_CARD}
"""Files of a summary that are fetched, and the most bytes of each. The first two must be there."""
NEEDED = (CONFIG, TENSORS)
FOR_LOADING = (CONFIG, TENSORS, NORMALISATION)


@contextmanager
def at_hand(place: str | Path, names: tuple[str, ...] = tuple(LIMITS)) -> Iterator[Path]:
    """Hold a summary's directory: itself, or a copy of what lies at an address while it is needed.

    Nothing of the copy has been checked: the loader does that.

    Args:
        place: a directory, or an address that fsspec knows.
        names: of the files that are fetched.

    Raises:
        AddressError: there is no summary, or a file is too large, cut off or too slow.
    """
    if not is_address(place):
        yield Path(place)
        return
    with TemporaryDirectory(prefix="ddcore-") as folder:
        for name in names:
            found = fetch(within(str(place), name), Path(folder) / name, LIMITS[name])
            if not found and name in NEEDED:
                raise AddressError(f"there is no summary at {place}: {name} is not there")
            if not found:
                (Path(folder) / name).unlink()
        yield Path(folder)


def save_at(summary: Content, place: str | Path, *, overwrite: bool) -> Path | str:
    """Write a summary to a directory, or to an address. See `DataSummary.save`.

    For an address it is written and read back here first. ``config.json``, which names the hash of
    the tensors, is sent last.
    """
    if not is_address(place):
        return write_summary(summary, Path(place), overwrite=overwrite)
    address = str(place).rstrip("/")
    if not overwrite and exists(within(address, CONFIG)):
        raise OutputExistsError(f"{address} holds a summary already: choose another address, or overwrite it")
    with TemporaryDirectory(prefix="ddcore-") as folder:
        written = write_summary(summary, Path(folder) / "summary", overwrite=False)
        names = sorted((file.name for file in written.iterdir()), key=lambda name: name == CONFIG)
        upload({name: written / name for name in names}, address, absent=(CONFIG, EVALUATIONS, NORMALISATION))
    return address
