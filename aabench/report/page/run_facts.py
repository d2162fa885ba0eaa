"""The facts of a run: what was run, where, and in which environment, as names and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aabench.report.aligned_text import one_line
from aabench.report.quantities import bytes_text, duration_text

if TYPE_CHECKING:
    import pandas as pd

Fact = tuple[str, str]

_LEADING = ("torch", "cuda", "python", "os", "cpu", "torch_threads")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of one run.

    Attributes:
        name: of the run.
        facts: what a reader wants first.
        details: everything else.
    """

    name: str
    facts: Sequence[Fact]
    details: Sequence[Fact]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> RunFacts:
        """From the ``attrs`` that ``load_run`` gives a frame."""
        attributes = frame.attrs
        environment = attributes.get("environment") or {}
        leading = [name for name in _LEADING if environment.get(name) is not None]
        facts = [
            *_attribute_facts(attributes, len(frame)),
            *((name.replace("_", " "), _value(name, environment[name])) for name in leading),
            *_setting_facts(attributes.get("settings") or {}),
        ]
        rest = {name: value for name, value in environment.items() if name not in leading}
        return cls(_text(attributes.get("name") or "run"), facts, list(_flat("", rest)))


def _attribute_facts(attributes: Mapping[Any, Any], rows: int) -> Iterator[Fact]:
    yield "rows", f"{rows:,}"
    for name, head in (("device", "device"), ("folder", "folder"), ("version", "aabench")):
        if attributes.get(name):
            yield head, _text(attributes[name])
    if attributes.get("wall_s"):
        yield "took", duration_text(attributes["wall_s"])
    if attributes.get("complete") is False:
        yield "state", "incomplete: the same command goes on where it stopped"


def _setting_facts(settings: Mapping[Any, Any]) -> Iterator[Fact]:
    """How it was measured, by the flags that say so."""
    for name, value in settings.items():
        if value is not None:
            yield f"--{_text(name)}".replace("_", "-"), _value(str(name), value)


def _flat(prefix: str, values: Mapping[Any, Any]) -> Iterator[Fact]:
    """Nested values as one list; what is not known is left out."""
    for name, value in values.items():
        label = f"{prefix}{_text(name)}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(f"{label}: ", value)
        elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            for place, each in enumerate(value):
                yield from _flat(f"{label} {place}: ", each)
        elif value is not None and value != []:
            yield label, _value(str(name), value)


def _value(name: str, value: Any) -> str:
    if name.endswith("_bytes") and isinstance(value, int):
        return bytes_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return _text(value)


def _text(value: Any) -> str:
    return one_line(str(value))
