"""Text within charts: Plotly reads a few HTML tags in names and hover texts, so foreign text is escaped."""

from __future__ import annotations

import html

from aabench.report.aligned_text import one_line


def chart_text(text: str) -> str:
    """Any text so that a chart shows it as it is, on one line."""
    return html.escape(one_line(text), quote=False)
