"""Sphinx: the user guide is Markdown, which GitHub shows as well."""

from __future__ import annotations

import aabench

project = "aabench"
author = "The aabench authors"
release = aabench.__version__

extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"aabench {release}"
html_static_path: list[str] = []
exclude_patterns = ["_build"]
myst_heading_anchors = 3
