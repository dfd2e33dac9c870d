"""Tables: rows of numbers and categories, with a class or a number to predict."""

from ddcore.parts import add_modality
from ddcore.tables.columns import Column, Scaling
from ddcore.tables.loading import load_table
from ddcore.tables.modality import Tables
from ddcore.tables.rows import Rows
from ddcore.tables.show import dataframe_of
from ddcore.tables.sources import NAMED
from ddcore.tables.spec import TableSpec

add_modality(Tables())

__all__ = [
    "NAMED",
    "Column",
    "Rows",
    "Scaling",
    "TableSpec",
    "Tables",
    "dataframe_of",
    "load_table",
]
