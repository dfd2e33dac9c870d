"""The data of clients and server; put your own loading here."""

from flwr.app import Context

import ddcore as dd
from ddcore.images import Standardise

NORMALISATION = Standardise((0.5,), (0.5,))
"""Known to all: nothing of it is read from anybody's data."""


def whole(context: Context) -> dd.TargetData:
    """Return the data that is cut into clients."""
    return dd.load_data(str(context.run_config["data"]), normalisation=NORMALISATION, num_classes=10)


def load_partition(context: Context) -> dd.TargetData:
    """Return the part of one client."""
    index, parts = (int(context.node_config[name]) for name in ("partition-id", "num-partitions"))
    alpha, seed = float(context.run_config["alpha"]), int(context.run_config["partition-seed"])
    return dd.data.partitions.dirichlet(whole(context), parts, alpha, seed=seed)[index]
