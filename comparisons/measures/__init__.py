"""The metrics that the harness runs, by name."""
