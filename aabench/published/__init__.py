"""The papers' figures as data, and our own beside them: ``aabench.published.paper_table()``."""

from __future__ import annotations

from aabench.published.comparison import paper_table

__all__ = ["paper_table"]
