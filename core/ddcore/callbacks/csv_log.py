"""A table of every step's loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from ddcore.callbacks.rows import Row, Rows
from ddcore.engine import Progress
from ddcore.errors import OutputExistsError
from ddcore.ground import write_atomically

PROGRESS = "progress.csv"
"""Name of the file that ``ddapps distill`` leaves beside a summary."""
HEADER = "step,loss,seconds"


class CSVLog:
    """Writes ``step,loss,seconds``: a row for each step, the seconds those of the run so far.

    Rows are written every two seconds, before every checkpoint, and in the end. A resumed run goes
    on in the same file: rows of steps that it takes again are replaced. A run that begins anew
    replaces all of them.

    Args:
        path: of the file. Its folder is made.

    Raises:
        OutputExistsError: the file holds something else.

    Example:
        ``dd.distill(target, "dm", callbacks=[dd.callbacks.CSVLog("out/progress.csv")])``
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows = Rows(self._write)
        self._file: TextIO | None = None
        self._kept_before(0)  # what else lies there is found out before hours of work

    def __call__(self, progress: Progress) -> None:
        """Take in a step."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = [HEADER, *self._kept_before(progress.step)]
            write_atomically(self.path, "".join(f"{line}\n" for line in kept).encode())
            self._file = self.path.open("a", encoding="ascii")
        self._rows.add(progress)

    def flush(self) -> None:
        """Write what is held."""
        self._rows.flush()
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write what is held, and close the file. Without a step at most the header is written."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
        elif not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, f"{HEADER}\n".encode())

    def _write(self, rows: Sequence[Row]) -> None:
        assert self._file is not None
        self._file.writelines(f"{row.step},{row.loss:.9g},{row.seconds:.3f}\n" for row in rows)
        self._file.flush()

    def _kept_before(self, step: int) -> list[str]:
        """Return the rows of earlier steps. One that a kill has torn ends the file."""
        if not self.path.exists():
            return []
        header, *lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if header != HEADER:
            raise OutputExistsError(f"{self.path} is no log of a run ({HEADER}): choose another path, or delete it")
        whole = [line for line in lines[:-1] if line.partition(",")[0].isdecimal()]
        return [line for line in whole if int(line.partition(",")[0]) < step]
