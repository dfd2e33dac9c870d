"""Summaries: the results of distillation, on disk and in memory."""

from ddcore.summary.card import as_text, save_picture
from ddcore.summary.compression import compressed_bytes
from ddcore.summary.content import Content, Part, original_bytes
from ddcore.summary.files import check_examples
from ddcore.summary.summary import DataSummary
from ddcore.summary.union import concat

__all__ = [
    "Content",
    "DataSummary",
    "Part",
    "as_text",
    "check_examples",
    "compressed_bytes",
    "concat",
    "original_bytes",
    "save_picture",
]
