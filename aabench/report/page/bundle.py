"""The bundle: what a page carries with it, the libraries and its data, compressed into plain text."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from importlib.resources import files
from typing import Any


def packed(text: str) -> str:
    """A text as base64 of its zlib stream, which the page's script unpacks.

    Base64 has neither ``<`` nor ``&``: whatever is in the text, it cannot end the element that holds it.
    """
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")


def packed_data(data: Any) -> str:
    """JSON data, packed. Numbers that are not finite have no place in JSON and raise ``ValueError``."""
    return packed(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


@cache
def plotly_script() -> str:
    """Plotly's own script as its Python package brings it, packed."""
    from plotly.offline import get_plotlyjs

    return packed(get_plotlyjs())


@cache
def table_script() -> str:
    """DataTables as one JavaScript module, as the package itables brings it, packed."""
    return packed(_table_asset("dt_bundle.js"))


@cache
def table_style() -> str:
    """The style sheet that belongs to ``table_script``, packed."""
    return packed(_table_asset("dt_bundle.css"))


def _table_asset(name: str) -> str:
    return files("itables").joinpath("html", name).read_text(encoding="utf-8")
