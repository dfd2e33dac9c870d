"""Pages for people: what a summary holds, how good it is, and where it comes from."""

from ddcore.report.page import Page
from ddcore.report.report import report

__all__ = ["Page", "report"]
