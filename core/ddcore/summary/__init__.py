"""Summaries: what distillation gives, on disk and in memory."""

from ddcore.summary.card import save_picture
from ddcore.summary.compression import compressed_bytes
from ddcore.summary.files import check_examples
from ddcore.summary.picture import as_text, draw
from ddcore.summary.summary import DataSummary, Part, concat, original_bytes
from ddcore.tensorfile import pack_tensors, read_tensors, unpack_tensors, write_atomically, write_tensors

__all__ = [
    "DataSummary",
    "Part",
    "as_text",
    "check_examples",
    "compressed_bytes",
    "concat",
    "draw",
    "original_bytes",
    "pack_tensors",
    "read_tensors",
    "save_picture",
    "unpack_tensors",
    "write_atomically",
    "write_tensors",
]
