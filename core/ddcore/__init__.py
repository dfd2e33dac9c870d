"""ddcore: data distillation as a composition of independent parts.

```python
import ddcore as dd

target = dd.load_data("digits")
summary = dd.distill(target, dd.methods.dm(ipc=1, preset="cpu"), seed=0)
print(dd.evaluate(summary, target))
```
"""

from ddcore import (
    callbacks,
    choosing,
    coresets,
    data,
    engine,
    errors,
    evaluation,
    factorization,
    graphs,
    ground,
    images,
    interactions,
    kernels,
    labels,
    matching,
    methods,
    networks,
    parts,
    sources,
    tables,
    text,
    training,
)
from ddcore.budget import Budget
from ddcore.choosing import choose_method, fitted, portfolio
from ddcore.citations import cite
from ddcore.data import load_data
from ddcore.engine import Progress
from ddcore.engine.distill import distill
from ddcore.engine.experts import train_experts
from ddcore.engine.teacher import train_teacher
from ddcore.evaluation import (
    efficiency_curve,
    epsilon_approximation,
    evaluate,
    evaluate_fairly,
    evaluate_kernel,
    storage,
    verify,
)
from ddcore.ground import Optimiser, Workers
from ddcore.parts import Batch, Method, Recipe, Run, Spec, TargetData
from ddcore.report import Page, report
from ddcore.settings import describe, override
from ddcore.summary import DataSummary, concat, summaries
from ddcore.training import Teacher
from ddcore.version import __version__

__all__ = [
    "Batch",
    "Budget",
    "DataSummary",
    "Method",
    "Optimiser",
    "Page",
    "Progress",
    "Recipe",
    "Run",
    "Spec",
    "TargetData",
    "Teacher",
    "Workers",
    "__version__",
    "callbacks",
    "choose_method",
    "choosing",
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
    "evaluate_fairly",
    "evaluate_kernel",
    "evaluation",
    "factorization",
    "fitted",
    "graphs",
    "ground",
    "images",
    "interactions",
    "kernels",
    "labels",
    "load_data",
    "matching",
    "methods",
    "networks",
    "override",
    "parts",
    "portfolio",
    "report",
    "sources",
    "storage",
    "summaries",
    "tables",
    "text",
    "train_experts",
    "train_teacher",
    "training",
    "verify",
]
