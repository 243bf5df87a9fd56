"""The harness from Python: its suites with methods, models and measures of your own.

See ``comparisons/examples/own_method.py``.
"""

from __future__ import annotations

from comparisons.harness.registry import Registry, registered
from comparisons.harness.running import run
from comparisons.measures.measure import Case, Measure, Value
from comparisons.methods.method import Method, Setting
from comparisons.models.network import Model, Network, hash_of
from comparisons.records import Records, read_records
from comparisons.report import compare, report

__all__ = [
    "Case",
    "Measure",
    "Method",
    "Model",
    "Network",
    "Records",
    "Registry",
    "Setting",
    "Value",
    "compare",
    "hash_of",
    "read_records",
    "registered",
    "report",
    "run",
]
