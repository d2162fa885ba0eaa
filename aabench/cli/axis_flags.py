"""The flags of the axes, made from the axes themselves, so that a command cannot lack one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from aabench.cases.axes import AXES, NETWORK_AXES, STEP_AXES, Axis

NETWORK_PANEL = "Networks"
LAYER_PANEL = "Axes of the layer, and of the networks that have them"
STEP_PANEL = "Axes of the step"


def with_axis_flags(
    command: Callable[..., None], axes: Iterable[Axis] = tuple(AXES.values())
) -> Callable[..., None]:
    """Give a command one flag for each of some axes; it receives them as one mapping, ``axes``.

    The command must take ``axes: dict[str, str | None]`` as a keyword.
    """
    chosen = list(axes)

    def wrapped(**given: Any) -> None:
        values = {axis.name: given.pop(axis.name) for axis in chosen}
        command(axes=values, **given)

    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "axes"
    ]
    flags = [_parameter(axis) for axis in chosen]
    wrapped.__signature__ = inspect.Signature([*_keywords(own), *flags])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {item.name: item.annotation for item in [*own, *flags]}
    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    return wrapped


def _keywords(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    return [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]


def _parameter(axis: Axis) -> inspect.Parameter:
    option = typer.Option(
        axis.flag,
        help=axis.help + _shown_default(axis),
        rich_help_panel=_panel(axis),
        metavar="VALUES",
        show_default=False,
    )
    return inspect.Parameter(
        axis.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )


def _panel(axis: Axis) -> str:
    if axis in NETWORK_AXES:
        return NETWORK_PANEL
    return STEP_PANEL if axis in STEP_AXES else LAYER_PANEL


def _shown_default(axis: Axis) -> str:
    if axis.default is None:
        return ""
    values = [
        "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for value in axis.default
    ]
    shown = {"False": "off", "True": "on", "28x28": "28"}
    return f" (default: {','.join(shown.get(value, value) for value in values)})"
