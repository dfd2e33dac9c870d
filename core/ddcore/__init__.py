"""ddcore: data distillation as a composition of independent parts.

```python
import ddcore as dd

target = dd.load_data("digits")
summary = dd.distill(target, dd.methods.dm(ipc=1, preset="cpu"), seed=0)
print(dd.evaluate(summary, target))
```
"""

from ddcore import (
    augmentation,
    coresets,
    data,
    engine,
    errors,
    evaluation,
    factorization,
    kernels,
    matching,
    methods,
    networks,
    training,
)
from ddcore.batch import Batch
from ddcore.budget import Budget
from ddcore.citations import cite
from ddcore.data import Spec, TargetData, load_data
from ddcore.engine.distill import distill
from ddcore.engine.experts import train_experts
from ddcore.engine.optimiser import Optimiser
from ddcore.engine.progress import Progress
from ddcore.evaluation import efficiency_curve, epsilon_approximation, evaluate, evaluate_kernel, storage
from ddcore.method import Method
from ddcore.run import Run
from ddcore.settings import describe, override
from ddcore.summary import DataSummary, concat
from ddcore.training import Recipe
from ddcore.version import __version__

__all__ = [
    "Batch",
    "Budget",
    "DataSummary",
    "Method",
    "Optimiser",
    "Progress",
    "Recipe",
    "Run",
    "Spec",
    "TargetData",
    "__version__",
    "augmentation",
    "cite",
    "concat",
    "coresets",
    "data",
    "describe",
    "distill",
    "efficiency_curve",
    "engine",
    "epsilon_approximation",
    "errors",
    "evaluate",
    "evaluate_kernel",
    "evaluation",
    "factorization",
    "kernels",
    "load_data",
    "matching",
    "methods",
    "networks",
    "override",
    "storage",
    "train_experts",
    "training",
]
