"""The grid: the product of axis values, as entries in a fixed order, each a case or a reason."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aabench.cases.axes import (
    AXES,
    DEFAULT_KAPPA,
    DEFAULT_UPSILON,
    DEFAULT_WINDOW,
    STEP_AXES,
    AxisValue,
    parse_axes,
)
from aabench.cases.case import AUGMENTED, Case, Layer
from aabench.cases.depths import key_depth, value_depth
from aabench.cases.network import Network
from aabench.cases.network_catalogue import LIBRARIES
from aabench.cases.validity import layer_problem
from aabench.errors import UsageError

SINGLE_PIXEL = "the attention sees a single pixel: stride times downsample covers the whole input"


def sees_single_pixel(layer: Any) -> Any:
    """Whether pooling leaves one pixel of a larger input; takes a layer, or columns of augmented ones."""
    step = layer.stride * layer.downsample
    covers = (layer.height <= step) & (layer.width <= step)
    return covers & (layer.height * layer.width > 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One point of a grid, and so one row of its results.

    Attributes:
        index: its place in grid order, from 0.
        case: the canonical case; of an invalid entry, as far as it can be said.
        kappa: the ratio asked for, None where dk was given.
        upsilon: the ratio asked for, None where dv was given.
        problem: why this is no layer; None if it is one.
        notes: what was rounded or raised on the way from ratios to depths.
    """

    index: int
    case: Case
    kappa: Decimal | None
    upsilon: Decimal | None
    problem: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """The product of the values of every axis.

    Attributes:
        axes: values by axis name, complete and in the order of ``AXES``.
        min_key_depth_per_head: the floor on dk / Nh when dk comes from kappa; None is 0 for a
            layer, and a network's own.
    """

    axes: dict[str, tuple[AxisValue, ...]]
    min_key_depth_per_head: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any], *, min_key_depth_per_head: int | None = None) -> Grid:
        """The grid of some given axes and the defaults of the others.

        It is of layers, or of networks where the axis ``network`` is given; a network's own settings
        stay as they are unless given.

        Raises:
            UsageError: a bad axis, value or floor.
        """
        floor = min_key_depth_per_head
        if floor is not None and (type(floor) is not int or not 0 <= floor <= 4096):
            raise UsageError(
                "--min-key-depth-per-head: out of range",
                got=floor,
                allowed="0 to 4096 channels",
            )
        parsed = parse_axes(given)
        axes = _with_defaults(parsed)
        return cls({name: axes[name] for name in AXES if name in axes}, floor)

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    @property
    def of_networks(self) -> bool:
        """Whether its cases are networks rather than layers."""
        return "network" in self.axes

    @property
    def swept(self) -> list[str]:
        """The names of the axes with more than one value."""
        return [name for name, values in self.axes.items() if len(values) > 1]

    def check_single(self) -> None:
        """Refuse a grid of more than one case, where one is wanted.

        Raises:
            UsageError: names the axes with several values.
        """
        if self.swept:
            raise UsageError(
                "one case is wanted here, and these axes have several values",
                got=", ".join(self.swept),
                instead="give one value each, or take aabench sweep",
            )

    @property
    def outside_code(self) -> list[str]:
        """The ``package.module:attribute`` targets among the forms, positions and networks."""
        names = [
            str(value)
            for axis in ("attention", "position", "network")
            for value in self.axes.get(axis, ())
        ]
        return [name for name in names if ":" in name and not name.startswith(LIBRARIES)]

    def entries(self) -> Iterator[Entry]:
        """Every entry in grid order: the last axis runs fastest."""
        for index, values in enumerate(itertools.product(*self.axes.values())):
            yield self._entry(index, dict(zip(self.axes, values, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """The grid as JSON-ready values; ratios as decimal text."""
        return {
            "axes": {
                name: [_plain_value(value) for value in values]
                for name, values in self.axes.items()
            },
            "min_key_depth_per_head": self.min_key_depth_per_head,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Grid:
        """The grid that ``to_dict`` wrote."""
        given = {
            name: [tuple(item) if isinstance(item, list) else item for item in items]
            for name, items in values["axes"].items()
        }
        return cls.of(given, min_key_depth_per_head=values["min_key_depth_per_head"])

    def fingerprint(self) -> str:
        """Eight hex digits that equal grids share."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def _entry(self, index: int, point: dict[str, Any]) -> Entry:
        notes: list[str] = []
        subject = self._network(point, notes) if self.of_networks else self._layer(point, notes)
        case = Case(
            subject=subject,
            batch=point["batch"],
            mode=point["mode"],
            precision=point["precision"],
            attention=point["attention"],
            compile=point["compile"],
            memory_format=point["memory_format"],
            optimizer=point["optimizer"],
        )
        problem = layer_problem(subject) if isinstance(subject, Layer) else None
        return Entry(
            index=index,
            case=case if problem else case.canonical(),
            kappa=point.get("kappa"),
            upsilon=point.get("upsilon"),
            problem=problem,
            notes=tuple(notes),
        )

    def _network(self, point: dict[str, Any], notes: list[str]) -> Network:
        network = Network.of(point, self.min_key_depth_per_head)
        if network.unused:
            notes.append(f"{network.name} has no {' and no '.join(network.unused)} to be changed")
        return network

    def _layer(self, point: dict[str, Any], notes: list[str]) -> Layer:
        out_channels = point.get("out_channels", point["in_channels"])
        kind = point["layer"]
        dk, dv = out_channels, out_channels
        if kind == AUGMENTED:
            dv = _value_depth(point, out_channels, notes)
            dk = point["dk"] if "dk" in point else self._key_depth(point, out_channels, dv, notes)
        height, width = point["resolution"]
        layer = Layer(
            in_channels=point["in_channels"],
            out_channels=out_channels,
            kernel_size=point["kernel_size"] if "kernel_size" in point else DEFAULT_WINDOW[kind],
            stride=point["stride"],
            downsample=point["downsample"],
            heads=point["heads"],
            dk=dk,
            dv=dv,
            position=point["position"],
            height=height,
            width=width,
            kind=kind,
        )
        if kind == AUGMENTED and sees_single_pixel(layer) and dv > 0:
            notes.append(SINGLE_PIXEL)
        return layer

    def _key_depth(
        self, point: dict[str, Any], out_channels: int, dv: int, notes: list[str]
    ) -> int:
        kappa, heads = point["kappa"], point["heads"]
        dk = key_depth(kappa, out_channels, heads, self.min_key_depth_per_head or 0)
        unfloored = key_depth(kappa, out_channels, heads)
        if dk > unfloored and dv:
            notes.append(
                f"dk raised from {unfloored} to {dk} by the floor of "
                f"{self.min_key_depth_per_head} per head"
            )
        return dk


def _value_depth(point: dict[str, Any], out_channels: int, notes: list[str]) -> int:
    if "dv" in point:
        return int(point["dv"])
    upsilon, heads = point["upsilon"], point["heads"]
    dv = value_depth(upsilon, out_channels, heads)
    if upsilon and not dv:
        notes.append(
            f"upsilon {upsilon} of {out_channels} channels is less than one value channel "
            f"for each of {heads} heads: dv = 0, the plain convolution"
        )
    return dv


def _with_defaults(parsed: Mapping[str, tuple[AxisValue, ...]]) -> dict[str, tuple[AxisValue, ...]]:
    """The axes given, and the defaults of those that the subject has beside them."""
    axes = dict(parsed)
    of_networks = "network" in axes
    for axis in STEP_AXES if of_networks else AXES.values():
        is_own = of_networks and axis.name == "resolution"
        if axis.name not in axes and axis.default is not None and not is_own:
            axes[axis.name] = axis.default
    if of_networks and "augment" not in axes:
        return axes
    windows = {DEFAULT_WINDOW[str(kind)] for kind in axes.get("layer", ())}
    if "kernel_size" not in axes and len(windows) == 1:
        axes["kernel_size"] = tuple(windows)
    if "dk" not in axes and "kappa" not in axes:
        axes["kappa"] = (DEFAULT_KAPPA,)
    if "dv" not in axes and "upsilon" not in axes:
        axes["upsilon"] = (DEFAULT_UPSILON,)
    return axes


def _plain_value(value: AxisValue) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return list(value) if isinstance(value, tuple) else value
