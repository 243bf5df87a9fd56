"""The results of a run on disk: rows in groups, the folder they lie in, and its provenance."""

from comparisons.records.groups import Cell, Records, Writer, cell_of, read_records
from comparisons.records.rows import Row

__all__ = ["Cell", "Records", "Row", "Writer", "cell_of", "read_records"]
