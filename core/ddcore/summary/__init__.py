"""Summaries: the results of distillation, on disk and in memory."""

from ddcore.summary import summaries
from ddcore.summary.card import as_text, card_text, read_card, save_picture, write_card
from ddcore.summary.compression import compressed_bytes
from ddcore.summary.content import Content, Part, original_bytes
from ddcore.summary.files import CONFIG, check_examples
from ddcore.summary.measured import EVALUATIONS, check_evaluation, measured_table, read_evaluations
from ddcore.summary.summary import DataSummary
from ddcore.summary.union import concat

__all__ = [
    "CONFIG",
    "EVALUATIONS",
    "Content",
    "DataSummary",
    "Part",
    "as_text",
    "card_text",
    "check_evaluation",
    "check_examples",
    "compressed_bytes",
    "concat",
    "measured_table",
    "original_bytes",
    "read_card",
    "read_evaluations",
    "save_picture",
    "summaries",
    "write_card",
]
