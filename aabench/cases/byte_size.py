"""Byte sizes as people write them: a number and its unit, read without guessing."""

from __future__ import annotations

import re
from decimal import Decimal

from aabench.errors import UsageError

UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Bytes of each unit; ``GB`` is a billion, ``GiB`` is 2^30: on a card of 80 the two differ by 6 GB."""

LARGEST = 2**62
"""No size may exceed this, so that sums of a few stay within 64 bits."""

_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)", re.ASCII)
_BY_LOWER_CASE = {unit.lower(): factor for unit, factor in UNITS.items()}
_EXAMPLE = "a number and its unit, as 12GiB or 16GB"


def parse_bytes(text: str, what: str) -> int:
    """Bytes from text such as ``12GiB``, ``16 GB`` or ``0.5TiB``; case does not matter.

    A part of a byte is dropped.

    Args:
        text: what was written.
        what: the flag or key that it was written for, for messages.

    Raises:
        UsageError: not a size, no unit, zero, or more than any machine has.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{what}: not a size in bytes", got=text, allowed=_EXAMPLE)
    number, unit = match["number"], match["unit"]
    if not unit:
        raise UsageError(
            f"{what}: a size without a unit",
            got=text,
            instead=f"write {number}GiB (2^30 bytes each) or {number}GB (a billion each)",
        )
    factor = _BY_LOWER_CASE.get(unit.lower())
    if factor is None:
        raise UsageError(f"{what}: unknown unit {unit!r}", got=text, allowed=UNITS)
    size = int(Decimal(number) * factor)
    if size < 1:
        raise UsageError(f"{what}: a size of no bytes", got=text, allowed="1B or more")
    if size > LARGEST:
        raise UsageError(f"{what}: out of any reach", got=text, allowed="up to 4EiB (2^62 bytes)")
    return size
