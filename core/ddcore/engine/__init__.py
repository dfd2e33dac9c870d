"""The engine: the one loop over steps, checkpoints, progress."""

from ddcore.engine.loop import Loop
from ddcore.engine.progress import Callback, Progress

__all__ = ["Callback", "Loop", "Progress"]
