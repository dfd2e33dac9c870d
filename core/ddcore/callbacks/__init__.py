"""Observers of a run that leave something to look at: a table, TensorBoard's events, snapshots."""

from ddcore.callbacks.csv_log import HEADER, PROGRESS, CSVLog
from ddcore.callbacks.rows import spread
from ddcore.callbacks.snapshots import SNAPSHOTS, Snapshots
from ddcore.callbacks.tensorboard import TensorBoard

__all__ = ["HEADER", "PROGRESS", "SNAPSHOTS", "CSVLog", "Snapshots", "TensorBoard", "spread"]
