"""Continual learning from distilled memory, with Avalanche.

```python
from avalanche.training import Naive
from avalanche.training.plugins import ReplayPlugin
from ddapps.continual import DistilledBuffer

buffer = DistilledBuffer("dm", memory="10-per-class")
replay = ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer)
```
"""

import warnings
from importlib.util import find_spec

from ddcore.errors import MissingExtraError

if find_spec("avalanche") is None:
    raise MissingExtraError("ddapps.continual", "avalanche", "continual")

with warnings.catch_warnings():
    # One of Avalanche's own dependencies announces at import that it has no solver; nothing here
    # needs one.
    warnings.filterwarnings("ignore", message="no QP solver found", category=UserWarning)
    import avalanche.training  # noqa: F401

from ddapps.continual.budget import MemoryBudget
from ddapps.continual.buffer import DistilledBuffer, SummaryBuffer
from ddapps.continual.compare import Grid, compare
from ddapps.continual.condensation import CondensedMemory
from ddapps.continual.distilled import DistilledMemory
from ddapps.continual.memory import Kept, Memory
from ddapps.continual.mixed import MixedMemory
from ddapps.continual.online import CompositeMemoryBuffer, SampleCondensationBuffer
from ddapps.continual.outcomes import Comparison
from ddapps.continual.picture_files import PictureMemory
from ddapps.continual.plot import plot
from ddapps.continual.real import GreedyMemory
from ddapps.continual.recall import CompressThenRecall, CompressThenRecallPlugin
from ddapps.continual.soft_replay import SoftReplayPlugin
from ddapps.continual.streams import benchmark, class_incremental

__all__ = [
    "Comparison",
    "CompositeMemoryBuffer",
    "CompressThenRecall",
    "CompressThenRecallPlugin",
    "CondensedMemory",
    "DistilledBuffer",
    "DistilledMemory",
    "GreedyMemory",
    "Grid",
    "Kept",
    "Memory",
    "MemoryBudget",
    "MixedMemory",
    "PictureMemory",
    "SampleCondensationBuffer",
    "SoftReplayPlugin",
    "SummaryBuffer",
    "benchmark",
    "class_incremental",
    "compare",
    "plot",
]
