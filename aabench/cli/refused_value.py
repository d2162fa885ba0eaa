"""The words for a flag's value that was refused, whichever library checked it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

_Details = Mapping[str, Any]

_TEXTS: dict[str, Callable[[Any, _Details], str]] = {
    "value_error": lambda given, details: str(details["error"]),
    "int_parsing": lambda given, details: f"{given!r} is not a whole number.",
    "float_parsing": lambda given, details: f"{given!r} is not a number.",
    "greater_than_equal": lambda given, details: (
        f"{given} is out of range; allowed: {details['ge']:g} or more."
    ),
    "less_than_equal": lambda given, details: (
        f"{given} is out of range; allowed: {details['le']:g} or less."
    ),
}
"""What is said of a value, by pydantic's name of what is wrong with it, given its details."""


def refusal_text(error: typer.BadParameter) -> str:
    """Why a value was refused, in one sentence.

    Newer releases of Typer let pydantic check values and repeat what it says to programmers; what the
    older ones said themselves was meant for people, and stays.
    """
    list_errors = getattr(error.__cause__, "errors", None)
    if list_errors is None:
        return str(error.message)
    (first, *_) = list_errors()
    text = _TEXTS.get(first["type"])
    return str(first["msg"]) if text is None else text(first["input"], first.get("ctx", {}))
