"""A run in TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddcore.callbacks.rows import Row, Rows, spread
from ddcore.engine import Progress
from ddcore.errors import MissingExtraError
from ddcore.parts import modality_named
from ddcore.settings import require_counts


class TensorBoard:
    """Writes loss, seconds per step, and pictures of the examples for TensorBoard.

    It uses torch's own writer. Scalars are ``loss`` and ``seconds per step``; pictures are
    ``examples``, where such data have a picture. A resumed run hides what was written of the steps
    that it takes again.

    Args:
        directory: of the events (``tensorboard --logdir directory``).
        pictures: how many, evenly spread over the run, the first and the last step among them.

    Raises:
        MissingExtraError: tensorboard is not installed.

    Example:
        ``dd.distill(target, "dm", callbacks=[dd.callbacks.TensorBoard("out/events")])``
    """

    def __init__(self, directory: str | Path, pictures: int = 10) -> None:
        require_counts(pictures=pictures)
        _writer()
        self.directory, self.pictures = Path(directory), pictures
        self._rows = Rows(self._write)
        self._events: Any = None
        self._seconds: float | None = None
        self._drawn: frozenset[int] = frozenset()

    def __call__(self, progress: Progress) -> None:
        """Take in a step, and draw the examples if it is time."""
        if self._events is None:
            self._events = _writer()(str(self.directory), purge_step=progress.step)
            self._drawn = frozenset(spread(self.pictures, progress.steps))
        self._rows.add(progress)
        if progress.step in self._drawn:
            decoded = progress.snapshot().decoded()
            picture = modality_named(decoded.spec.modality).picture(decoded)
            if picture is not None:
                self._events.add_image("examples", picture.numpy(), progress.step, dataformats="HWC")

    def flush(self) -> None:
        """Write what is held."""
        self._rows.flush()
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """Write what is held, and close the files."""
        self._rows.flush()
        if self._events is not None:
            self._events.close()
        self._events = self._seconds = None

    def _write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._events.add_scalar("loss", row.loss, row.step)
            if self._seconds is not None:
                self._events.add_scalar("seconds per step", row.seconds - self._seconds, row.step)
            self._seconds = row.seconds


def _writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("TensorBoard", "tensorboard", "tensorboard") from error
    return SummaryWriter
