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
    AxisValue,
    parse_axes,
)
from aabench.cases.case import Case, Layer
from aabench.cases.depths import key_depth, value_depth
from aabench.cases.validity import layer_problem
from aabench.errors import UsageError


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
        min_key_depth_per_head: the floor on dk / Nh when dk comes from kappa.
    """

    axes: dict[str, tuple[AxisValue, ...]]
    min_key_depth_per_head: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Any], *, min_key_depth_per_head: int = 0) -> Grid:
        """The grid of some given axes and the defaults of the others.

        Raises:
            UsageError: a bad axis, value or floor.
        """
        floor = min_key_depth_per_head
        if type(floor) is not int or not 0 <= floor <= 4096:
            raise UsageError(
                "--min-key-depth-per-head: out of range",
                got=floor,
                allowed="0 to 4096 channels",
            )
        parsed = parse_axes(given)
        axes: dict[str, tuple[AxisValue, ...]] = {}
        for name, axis in AXES.items():
            if name in parsed:
                axes[name] = parsed[name]
            elif axis.default is not None:
                axes[name] = axis.default
        if "dk" not in axes and "kappa" not in axes:
            axes["kappa"] = (DEFAULT_KAPPA,)
        if "dv" not in axes and "upsilon" not in axes:
            axes["upsilon"] = (DEFAULT_UPSILON,)
        return cls({name: axes[name] for name in AXES if name in axes}, floor)

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

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
                "one layer is wanted here, and these axes have several values",
                got=", ".join(self.swept),
                instead="give one value each, or take aabench sweep",
            )

    @property
    def outside_code(self) -> list[str]:
        """The ``package.module:attribute`` targets among the forms and positions."""
        names = [*self.axes["attention"], *self.axes["position"]]
        return [str(name) for name in names if ":" in str(name)]

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
        layer = self._layer(point, notes)
        case = Case(
            layer=layer,
            batch=point["batch"],
            mode=point["mode"],
            precision=point["precision"],
            attention=point["attention"],
            compile=point["compile"],
            memory_format=point["memory_format"],
            optimizer=point["optimizer"],
        )
        problem = layer_problem(layer)
        return Entry(
            index=index,
            case=case if problem else case.canonical(),
            kappa=point.get("kappa"),
            upsilon=point.get("upsilon"),
            problem=problem,
            notes=tuple(notes),
        )

    def _layer(self, point: dict[str, Any], notes: list[str]) -> Layer:
        out_channels = point.get("out_channels", point["in_channels"])
        heads = point["heads"]
        dv = point["dv"] if "dv" in point else value_depth(point["upsilon"], out_channels, heads)
        dk = point["dk"] if "dk" in point else self._key_depth(point, out_channels, dv, notes)
        if "upsilon" in point and dv == 0 and point["upsilon"]:
            notes.append(
                f"upsilon {point['upsilon']} of {out_channels} channels is less than one value channel "
                f"for each of {heads} heads: dv = 0, the plain convolution"
            )
        height, width = point["resolution"]
        return Layer(
            in_channels=point["in_channels"],
            out_channels=out_channels,
            kernel_size=point["kernel_size"],
            stride=point["stride"],
            downsample=point["downsample"],
            heads=heads,
            dk=dk,
            dv=dv,
            position=point["position"],
            height=height,
            width=width,
        )

    def _key_depth(
        self, point: dict[str, Any], out_channels: int, dv: int, notes: list[str]
    ) -> int:
        kappa, heads = point["kappa"], point["heads"]
        dk = key_depth(kappa, out_channels, heads, self.min_key_depth_per_head)
        unfloored = key_depth(kappa, out_channels, heads)
        if dk > unfloored and dv:
            notes.append(
                f"dk raised from {unfloored} to {dk} by the floor of "
                f"{self.min_key_depth_per_head} per head"
            )
        return dk


def _plain_value(value: AxisValue) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return list(value) if isinstance(value, tuple) else value
