"""What is inside a page: its data unpacked, and its text without scripts."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any


def page_data(html: str) -> dict[str, Any]:
    """What the page's script works on."""
    return json.loads(unpacked(html, "page-data"))


def unpacked(html: str, key: str) -> str:
    found = re.search(f'<script type="application/octet-stream" id="{key}">([^<]*)</script>', html)
    assert found is not None
    return zlib.decompress(base64.b64decode(found[1])).decode()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def page_text(html: str) -> str:
    """What a reader without JavaScript sees, with single blanks."""
    parser = _Text()
    parser.feed(html)
    return " ".join(" ".join(parser.parts).split())


def page_tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every tag with its attributes."""
    parser = _Text()
    parser.feed(html)
    return parser.tags
