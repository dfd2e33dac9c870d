"""Federated learning from summaries, with Flower.

```python
import ddcore as dd
from ddapps.federated import ServerData, Settings, simulate

target = dd.load_data("digits")
parts = dd.data.partitions.dirichlet(target, 10, alpha=0.5)
outcome = simulate(Settings(method="dm", ipc=1), parts, ServerData.of(target))
```

Files stand on floors, and import only from floors below or beside them. From the bottom:

1. What all sides know: `terms` (what is agreed before a run), `portfolio`, `server_data`,
   `transport` on `squeezing`, `caps`.
2. What travels: `wire` (tasks and replies), `agreement` (what a reply must be), on `weakness`;
   `global_model`.
3. Who takes part, as a form sees them: `roles` (a client at work, the coordinator of a round).
4. What a client does: `summary_size`, `supplement`, `local_training`, `remembered`, `private`.
5. Forms of exchange: `forms`, one class each and their table; `settings`, the terms by their form.
6. The two sides: `client`; `server`, on `participation`, `union`, `screening` and `journal`.
7. Runs: `strategy` on `choosing`, `weights_strategy`, `ensemble`; `run`, `in_process`; `compare`,
   on `baselines` and `outcomes`. All count with `traffic`. After a run: `redistil`.
"""

import warnings
from importlib.util import find_spec

from ddcore.errors import MissingExtraError

if find_spec("flwr") is None:
    raise MissingExtraError("ddapps.federated", "flwr", "federated")

with warnings.catch_warnings():
    # Flower's own dependencies announce at import what they will remove.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import flwr.app
    import flwr.clientapp
    import flwr.serverapp.strategy  # noqa: F401

from ddapps.federated.baselines import Grid
from ddapps.federated.client import client_app
from ddapps.federated.compare import compare
from ddapps.federated.datasets import from_flwr_dataset
from ddapps.federated.forms import FORMS
from ddapps.federated.in_process import InProcessGrid, simulate
from ddapps.federated.outcomes import Comparison
from ddapps.federated.plot import plot
from ddapps.federated.redistil import Redistilled, redistil
from ddapps.federated.run import Outcome, run_server, server_app
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.federated.strategy import DistillationStrategy

__all__ = [
    "FORMS",
    "Comparison",
    "DistillationStrategy",
    "Grid",
    "InProcessGrid",
    "Outcome",
    "Redistilled",
    "ServerData",
    "Settings",
    "client_app",
    "compare",
    "from_flwr_dataset",
    "plot",
    "redistil",
    "run_server",
    "server_app",
    "simulate",
]
