"""The engine: the one loop over steps, checkpoints, progress."""

from ddcore.engine.fitting import start_bytes
from ddcore.engine.loop import Loop
from ddcore.engine.progress import Callback, Progress, watched
from ddcore.engine.teacher import TEACHING

__all__ = ["TEACHING", "Callback", "Loop", "Progress", "start_bytes", "watched"]
