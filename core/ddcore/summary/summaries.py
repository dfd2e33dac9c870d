"""Places with many summaries: a folder or an address, with an ``index.json`` that names them.

```python
dd.summaries.write_index("out")
for entry in dd.summaries.list("https://example.org/summaries"):
    print(entry)
summary = dd.summaries.load("https://example.org/summaries", "digits/dm")
```
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ddcore.errors import AddressError, SummaryFormatError, UnknownNameError
from ddcore.ground.addresses import fetch, is_address, within
from ddcore.ground.tensorfile import checked_text, read_json, write_atomically
from ddcore.summary.files import CONFIG
from ddcore.summary.measured import is_number, read_evaluations
from ddcore.summary.summary import DataSummary

INDEX = "index.json"
SCHEMA = 1
MAX_INDEX = 2**24
MAX_ENTRIES = 10_000
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@ -]*")
_MEASURED = {"data", "protocol", "network", "score", "mean", "ci95", "runs"}


@dataclass(frozen=True)
class Entry:
    """What an index says of one summary. Nobody has checked that it is true: ``dd.verify`` does.

    Attributes:
        name: by which `load` finds it.
        path: of its directory below the place of the index.
        method, data: what made it, of what.
        ipc: examples per class.
        bytes: that are stored.
        sha256: of the summary (`DataSummary.sha256`). `load` compares it.
        measured: main scores of kept evaluations, with ``data``, ``protocol``, ``network``,
            ``score``, ``mean``, ``ci95`` and ``runs``.
    """

    name: str
    path: str
    method: str
    data: str
    ipc: float
    bytes: int
    sha256: str
    measured: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        scores = [f"{m['mean']:.2f} {m['score']} of {m['network']} ({m['protocol']})" for m in self.measured]
        of = f"{self.name}: {self.method} of {self.data}, {self.ipc} per class, {self.bytes} bytes"
        return "; ".join([of, *scores])


def list(place: str | Path) -> tuple[Entry, ...]:
    """Return what the index of a place names.

    Args:
        place: a folder, or an address that fsspec reads, where ``index.json`` lies.

    Raises:
        AddressError: there is no index at the address, or it cannot be read.
        SummaryFormatError: there is none in the folder; or it is damaged or hostile: a path leaves
            the place, for example.
    """
    held = _index(place)
    if set(held) != {"schema", "summaries"} or held["schema"] != SCHEMA:
        raise SummaryFormatError(f"{INDEX} is not of schema {SCHEMA}, which this version reads")
    entries = held["summaries"]
    if not isinstance(entries, builtins.list) or len(entries) > MAX_ENTRIES:
        raise SummaryFormatError(f"{INDEX} lists no summaries, or more than {MAX_ENTRIES}")
    found = tuple(map(_entry, entries))
    if len({entry.name for entry in found}) != len(found):
        raise SummaryFormatError(f"{INDEX} names a summary twice")
    return found


def load(place: str | Path, name: str) -> DataSummary:
    """Load a summary that the index of a place names.

    Args:
        place: as in `list`.
        name: of the summary.

    Raises:
        UnknownNameError: the index has no such name.
        SummaryFormatError: it is damaged, or not the one that the index names.
    """
    entries = {entry.name: entry for entry in list(place)}
    if name not in entries:
        raise UnknownNameError("summary", name, entries)
    path = entries[name].path
    summary = DataSummary.load(within(str(place), path) if is_address(place) else Path(place) / path)
    if summary.sha256() != entries[name].sha256:
        raise SummaryFormatError(f"{path} is another summary than the one that {INDEX} names: its sha256 differs")
    return summary


def write_index(directory: str | Path) -> Path:
    """Write the ``index.json`` of a folder of summaries, at any depth. Each is loaded once.

    A summary's name is its path. What lies inside of another summary, such as the snapshots of its
    run, is left out, and so are folders that begin with a dot.

    Args:
        directory: the folder.

    Returns:
        The path of the index.

    Raises:
        SummaryFormatError: there is no summary, or one cannot be loaded, or its path has letters
            that an index does not take.
    """
    root = Path(directory)
    places = sorted(
        config.parent
        for config in root.rglob(CONFIG)
        if not any(step.startswith(".") for step in config.parent.relative_to(root).parts)
    )
    places = [place for place in places if place != root and not _inside(place, root, places)]
    if not places:
        raise SummaryFormatError(f"{root} holds no summaries: give the folder in which their directories lie")
    entries = [_described(place, place.relative_to(root).as_posix()) for place in places]
    text = json.dumps({"schema": SCHEMA, "summaries": entries}, indent=1)
    write_atomically(root / INDEX, text.encode())
    return root / INDEX


def _inside(place: Path, root: Path, places: Sequence[Path]) -> bool:
    """Say whether a summary lies inside of another one below the root."""
    return any(above in places and above != root for above in place.parents)


def _described(place: Path, path: str) -> dict[str, Any]:
    try:
        summary, evaluations = DataSummary.load(place), read_evaluations(place)
        measured = [
            {
                "data": evaluation["details"]["tested_on"]["data"],
                "protocol": evaluation["protocol"],
                **{name: result[name] for name in ("network", "score", "mean", "ci95", "runs")},
            }
            for evaluation in evaluations
            for result in evaluation["results"]
        ]
        described = {
            "name": path,
            "path": path,
            "method": summary.record.get("method", {}).get("name", "custom"),
            "data": summary.record.get("data", "?"),
            "ipc": summary.ipc,
            "bytes": summary.stored_bytes,
            "sha256": summary.sha256(),
            "measured": measured,
        }
        return asdict(_entry(described))
    except SummaryFormatError as error:
        raise SummaryFormatError(f"{place}: {error}") from error


def _index(place: str | Path) -> dict[str, Any]:
    absent = f"there is no {INDEX} at {place}: dd.summaries.write_index(folder) makes one"
    if not is_address(place):
        if not (Path(place) / INDEX).is_file():
            raise SummaryFormatError(absent)
        return read_json(Path(place) / INDEX, MAX_INDEX)
    with TemporaryDirectory(prefix="ddcore-") as folder:
        if not fetch(within(str(place), INDEX), Path(folder) / INDEX, MAX_INDEX):
            raise AddressError(absent)
        return read_json(Path(folder) / INDEX, MAX_INDEX)


def _entry(given: Any) -> Entry:
    """Return an entry of an index. What is amiss raises: a stranger wrote it."""
    fields = set(Entry.__dataclass_fields__)
    _require(isinstance(given, dict) and set(given) == fields, f"an entry has {', '.join(sorted(fields))}")
    for name in ("name", "path", "method", "data"):
        checked_text(given[name], INDEX)
    steps = given["path"].split("/")
    inside = all(_STEP.fullmatch(step) and not step.endswith(" ") for step in steps)
    _require(
        inside, f"the path {given['path'][:60]!r} may leave the place, or has letters other than A-Z, 0-9 and _.+=@-"
    )
    _require(is_number(given["ipc"]) and type(given["bytes"]) is int, "ipc and bytes are numbers")
    digest = given["sha256"]
    _require(isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest), "sha256 is a hash")
    measured = given["measured"]
    _require(isinstance(measured, builtins.list | tuple) and len(measured) <= MAX_ENTRIES, "measured is a list")
    for scores in measured:
        _require(
            isinstance(scores, dict) and set(scores) == _MEASURED, f"a measurement has {', '.join(sorted(_MEASURED))}"
        )
        for name in ("data", "protocol", "network", "score"):
            checked_text(scores[name], INDEX, 500)
        _require(is_number(scores["mean"]) and type(scores["runs"]) is int, "mean and runs are numbers")
        _require(scores["ci95"] is None or is_number(scores["ci95"]), "ci95 is a number, or null")
    return Entry(**{**given, "measured": tuple(measured)})


def _require(fits: object, rule: str) -> None:
    if not fits:
        raise SummaryFormatError(f"{INDEX}: {rule}")
