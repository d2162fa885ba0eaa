"""The axes of a sweep: what each one is called, which values it takes, and how its text is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from aabench.cases.case import (
    AUGMENTED,
    BOTTLENECK,
    KINDS,
    LOCAL,
    MEMORY_FORMATS,
    MODES,
    OPTIMIZERS,
    PRECISIONS,
)
from aabench.cases.catalogue import ATTENTIONS, POSITIONS
from aabench.cases.network import DOWNSAMPLE_SIGN, PATTERN_SEPARATOR, SETTINGS
from aabench.cases.network_catalogue import NETWORKS
from aabench.errors import UnknownName, UsageError

AxisValue = int | str | bool | Decimal | tuple[int, int]

MOST_VALUES = 100_000
"""Values one axis may have; a longer range is a slip of the pen."""

_POWERS = re.compile(r"(?P<base>\d+)\^(?P<first>\d+):(?P=base)\^(?P<last>\d+)")


@dataclass(frozen=True, slots=True)
class Axis:
    """One swept quantity.

    Attributes:
        name: in Python, in profiles and as a column; the flag is ``--`` with dashes.
        help: one line, with the unit.
        read: turns one word into a value, or raises UsageError.
        default: the values when the axis is not given; None where another axis decides.
        steps: whether ``a:b:c`` ranges and ``2^3:2^6`` make sense.
    """

    name: str
    help: str
    read: Callable[[str, str], AxisValue]
    default: tuple[AxisValue, ...] | None
    steps: bool = False

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return "--" + self.name.replace("_", "-")

    def parse(self, given: object) -> tuple[AxisValue, ...]:
        """The values of this axis from text, one value, or a list of either.

        Equal values are kept once, in the order first given.

        Raises:
            UsageError: an empty list, or a value that the axis does not take.
        """
        words = [word for item in _items(given) for word in self._words(item)]
        if not words:
            raise UsageError(f"{self.flag} has no values", got=given, instead=f"give {self.help}")
        values = dict.fromkeys(self.read(self.flag, word) for word in words)
        return tuple(values)

    def _words(self, item: object) -> list[str]:
        if isinstance(item, bool):
            return ["on" if item else "off"]
        if isinstance(item, tuple | list):
            return ["x".join(str(part) for part in item)]
        words: list[str] = []
        for word in str(item).split(","):
            words.extend(self._expand(word.strip()))
        return words

    def _expand(self, word: str) -> list[str]:
        if not word:
            raise UsageError(
                f"{self.flag} has an empty value", instead="separate values by single commas"
            )
        if not self.steps or ":" not in word:
            return [word]
        powers = _POWERS.fullmatch(word)
        if powers:
            return _powers(self.flag, word, powers)
        return _steps(self.flag, word)


def _items(given: object) -> Iterable[object]:
    """A list or range as its items; text, numbers and an (H, W) pair as themselves."""
    if isinstance(given, str | bytes | tuple) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def _powers(flag: str, word: str, match: re.Match[str]) -> list[str]:
    base, first, last = (int(match[name]) for name in ("base", "first", "last"))
    if first > last:
        raise UsageError(
            f"{flag}: the range runs backwards",
            got=word,
            instead=f"write {base}^{last}:{base}^{first}",
        )
    if last > 64 or base < 2:
        raise UsageError(f"{flag}: powers out of reach", got=word, allowed="2^0 to 2^64")
    return [str(base**power) for power in range(first, last + 1)]


def _steps(flag: str, word: str) -> list[str]:
    """Expand ``first:last:step`` in exact decimals, both ends in."""
    parts = word.split(":")
    if len(parts) not in (2, 3):
        raise UsageError(
            f"{flag}: not a range", got=word, allowed="first:last:step, as 0.1:0.5:0.1"
        )
    first, last = (_decimal(flag, part) for part in parts[:2])
    step = _decimal(flag, parts[2]) if len(parts) == 3 else Decimal(1)
    if step <= 0:
        raise UsageError(f"{flag}: the step must be above zero", got=word)
    if last < first:
        instead = f"write {parts[1]}:{parts[0]}" + (f":{parts[2]}" if len(parts) == 3 else "")
        raise UsageError(f"{flag}: the range runs backwards", got=word, instead=instead)
    # Fractions: Decimal's own division rounds at 28 digits, and 1e-30 steps must not slip through.
    count = Fraction(last - first) / Fraction(step)
    if count >= MOST_VALUES:
        raise UsageError(
            f"{flag}: the range has more than {MOST_VALUES:,} values",
            got=word,
            instead="widen the step",
        )
    return [str(first + index * step) for index in range(int(count) + 1)]


def _decimal(flag: str, word: str) -> Decimal:
    try:
        value = Decimal(word.strip())
    except InvalidOperation:
        raise UsageError(f"{flag}: not a number", got=word) from None
    if not value.is_finite():
        raise UsageError(f"{flag}: not a finite number", got=word)
    if value and abs(value.adjusted()) > 30:
        raise UsageError(f"{flag}: out of any reach", got=word)
    return value


def _integer(smallest: int, largest: int) -> Callable[[str, str], AxisValue]:
    allowed = f"whole numbers from {smallest} to {largest:,}"

    def read(flag: str, word: str) -> AxisValue:
        value = _decimal(flag, word)
        if value != int(value) or not smallest <= value <= largest:
            raise UsageError(f"{flag}: not a value of this axis", got=word, allowed=allowed)
        return int(value)

    return read


def _ratio(flag: str, word: str) -> AxisValue:
    value = _decimal(flag, word)
    if not 0 <= value <= 1:
        raise UsageError(f"{flag}: not a ratio", got=word, allowed="0 to 1, as 0.25")
    return value.normalize() if value else Decimal(0)


def _resolution(flag: str, word: str) -> AxisValue:
    sides = word.lower().split("x")
    if len(sides) > 2 or not all(sides):
        raise UsageError(
            f"{flag}: not a resolution", got=word, allowed="28 or 28x40 (height x width)"
        )
    side = _integer(1, 16_384)
    height, *rest = (side(flag, part) for part in sides)
    width = rest[0] if rest else height
    assert isinstance(height, int) and isinstance(width, int)
    return height, width


def _one_of(kind: str, names: Iterable[str]) -> Callable[[str, str], AxisValue]:
    known = tuple(names)

    def read(flag: str, word: str) -> AxisValue:
        if word not in known:
            raise UnknownName(f"{kind} in {flag}", word, known)
        return word

    return read


def _switch(flag: str, word: str) -> AxisValue:
    if word not in ("on", "off"):
        raise UsageError(f"{flag}: not a switch", got=word, allowed=("off", "on"))
    return word == "on"


def _form(flag: str, word: str) -> AxisValue:
    if word != "auto":
        try:
            ATTENTIONS.entry(word)
        except UnknownName:
            raise UnknownName(
                f"attention form in {flag}", word, ["auto", *ATTENTIONS.names()]
            ) from None
    return word


def _position(flag: str, word: str) -> AxisValue:
    POSITIONS.entry(word)
    return word


def _network(flag: str, word: str) -> AxisValue:
    NETWORKS.entry(word)
    return word


def _patterns(flag: str, word: str) -> AxisValue:
    for part in word.split(PATTERN_SEPARATOR):
        pattern, at, factor = part.partition(DOWNSAMPLE_SIGN)
        if not pattern or (at and not (factor.isdecimal() and 1 <= int(factor) <= 64)):
            raise UsageError(
                f"{flag}: not a pattern",
                got=part or "an empty one",
                allowed=f"PATTERN or PATTERN{DOWNSAMPLE_SIGN}N with N from 1 to 64",
                instead=f"write it as 'layer3.*conv2{DOWNSAMPLE_SIGN}2{PATTERN_SEPARATOR}layer4.*conv2'",
            )
    return word


_CHANNELS = _integer(1, 65_536)

NETWORK_AXES: tuple[Axis, ...] = (
    Axis(
        "network",
        "whole networks in the place of layers: names of aabench list networks, timm:NAME, "
        "torchvision:NAME, package.module:function",
        _network,
        None,
    ),
    Axis(
        "augment",
        "augment the network's convolutions whose names match, with kappa = upsilon = 0.25 unless "
        "given: 'layer3.*conv2@2+layer4.*conv2'; + joins patterns, @2 lets these attend at half "
        "their resolution",
        _patterns,
        None,
    ),
    Axis(
        "image_channels",
        "channels of the network's input images; 3 where not given",
        _integer(1, 4096),
        None,
        steps=True,
    ),
)

LAYER_AXES: tuple[Axis, ...] = (
    Axis(
        "layer",
        "kind of layer: augmented convolution, local (k x k) attention as in SASA, bottleneck "
        "(attention alone) as in BoT: " + ", ".join(KINDS),
        _one_of("kind of layer", KINDS),
        (AUGMENTED,),
    ),
    Axis("in_channels", "input channels (Fin)", _CHANNELS, (256,), steps=True),
    Axis(
        "out_channels",
        "output channels (Fout); default: as many as in",
        _CHANNELS,
        None,
        steps=True,
    ),
    Axis(
        "kernel_size",
        "side in pixels, odd, of the convolution's kernel (default 3) or of local attention's window "
        "(default 7)",
        _integer(1, 31),
        None,
        True,
    ),
    Axis("stride", "stride of the layer, in pixels", _integer(1, 16), (1,), steps=True),
    Axis(
        "downsample",
        "pool the attention's input by this much and upsample its output",
        _integer(1, 64),
        (1,),
        steps=True,
    ),
    Axis("heads", "attention heads (Nh)", _integer(1, 4096), (8,), steps=True),
    Axis(
        "dk", "key depth of all heads together, in channels", _integer(1, 65_536), None, steps=True
    ),
    Axis(
        "dv",
        "value depth of all heads together, in channels",
        _integer(0, 65_536),
        None,
        steps=True,
    ),
    Axis(
        "kappa", "dk / Fout, instead of dk; 0.25 where neither is given", _ratio, None, steps=True
    ),
    Axis(
        "upsilon", "dv / Fout, instead of dv; 0.25 where neither is given", _ratio, None, steps=True
    ),
    Axis("position", "position encoding", _position, ("relative",)),
)

STEP_AXES: tuple[Axis, ...] = (
    Axis(
        "resolution",
        "input resolution in pixels: 28 or 28x40 (height x width)",
        _resolution,
        ((28, 28),),
        True,
    ),
    Axis("batch", "images per step", _integer(1, 1_000_000), (1,), steps=True),
    Axis("mode", "what one step is: " + ", ".join(MODES), _one_of("mode", MODES), ("infer",)),
    Axis(
        "precision",
        "number format: " + ", ".join(PRECISIONS),
        _one_of("precision", PRECISIONS),
        ("fp32",),
    ),
    Axis("attention", "attention form; see aabench list attentions", _form, ("auto",)),
    Axis("compile", "torch.compile the layer: off, on", _switch, (False,)),
    Axis(
        "memory_format",
        "layout of the tensors: " + ", ".join(MEMORY_FORMATS),
        _one_of("memory format", MEMORY_FORMATS),
        ("contiguous",),
    ),
    Axis(
        "optimizer",
        "in train: " + ", ".join(OPTIMIZERS),
        _one_of("optimizer", OPTIMIZERS),
        (OPTIMIZERS[0],),
    ),
)

AXES: dict[str, Axis] = {axis.name: axis for axis in (*NETWORK_AXES, *LAYER_AXES, *STEP_AXES)}

OF_LAYERS_ALONE = ("layer", "in_channels", "out_channels", "stride")
"""The axes that a network has its own values of."""

RIVALS = (("dk", "kappa"), ("dv", "upsilon"))
"""Pairs of axes that exclude each other."""

DEFAULT_WINDOW = {AUGMENTED: 3, LOCAL: 7, BOTTLENECK: 1}
"""The kernel size of each kind of layer where none is given."""

DEFAULT_KAPPA = Decimal("0.25")
DEFAULT_UPSILON = Decimal("0.25")


def parse_axes(given: Mapping[str, Any]) -> dict[str, tuple[AxisValue, ...]]:
    """Read the values of the axes that were given (``None`` means not given).

    Raises:
        UsageError: an unknown axis, a bad value, or two axes that exclude each other.
    """
    present = {name: value for name, value in given.items() if value is not None}
    for name in present:
        if name not in AXES:
            raise UnknownName("axis", name, AXES)
    for depth, ratio in RIVALS:
        if depth in present and ratio in present:
            raise UsageError(
                f"{AXES[depth].flag} and {AXES[ratio].flag} are two ways to say the same",
                instead=f"give one of them: the depth itself, or {ratio} = {depth} / Fout",
            )
    _check_subject(present)
    return {name: AXES[name].parse(value) for name, value in present.items()}


def _check_subject(present: Mapping[str, Any]) -> None:
    """Refuse axes of layers and networks in one grid."""
    if "network" not in present:
        for name in ("augment", "image_channels"):
            if name in present:
                raise UsageError(f"{AXES[name].flag} is for networks", instead="give --network too")
        return
    for name in OF_LAYERS_ALONE:
        if name in present:
            raise UsageError(
                f"{AXES[name].flag} is an axis of single layers, and a network has its own",
                got=present[name],
                allowed=[AXES[other].flag for other in SETTINGS],
                instead="leave it out, or leave --network out",
            )
