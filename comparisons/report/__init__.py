"""The report of a run, and the comparison of two."""

from comparisons.report.comparing import compare
from comparisons.report.writing import report

__all__ = ["compare", "report"]
