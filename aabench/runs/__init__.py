"""Executing a grid: workers, order, failures, the append-only run folder, resume."""
