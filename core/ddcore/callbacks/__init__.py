"""Observers of a run that leave something to look at: a table, TensorBoard's events, snapshots."""

from ddcore.callbacks.csv_log import CSVLog
from ddcore.callbacks.snapshots import Snapshots
from ddcore.callbacks.tensorboard import TensorBoard

__all__ = ["CSVLog", "Snapshots", "TensorBoard"]
