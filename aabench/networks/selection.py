"""The choice of a model's convolutions: by patterns on their names, or by a function's yes or no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.utils import parametrize

from aabench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A convolution that the model's forward reaches.

    Attributes:
        name: its module name, as ``model.named_modules()`` has it.
        convolution: the module.
        resolution: (H, W) of the largest input that reaches it.
    """

    name: str
    convolution: nn.Conv2d
    resolution: tuple[int, int]


Selection = str | Sequence[str] | Callable[[Candidate], bool]
"""An fnmatch pattern on module names, several of them, or a function that is asked of each."""


def matching_convolutions(model: nn.Module, patterns: str | Sequence[str]) -> list[str]:
    """The names, in the model's order, of the convolutions that any of the patterns matches.

    A convolution that several modules share is there once, by the first of its names matched.
    ``*`` matches dots too: ``layer4.*conv2`` is the second convolution of each block of layer4.

    Raises:
        UsageError: a pattern that matches nothing, or a module that is no convolution.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    modules.pop("")
    chosen: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matched = [name for name in modules if fnmatchcase(name, pattern)]
        if not matched:
            raise UsageError(
                "the pattern matches no module of the model",
                got=pattern,
                allowed=_some([n for n, each in modules.items() if isinstance(each, nn.Conv2d)]),
            )
        for name in matched:
            if not isinstance(modules[name], nn.Conv2d):
                raise UsageError(
                    f"the pattern {pattern!r} matches {name}, which is not a Conv2d",
                    got=type(modules[name]).__name__,
                    allowed=_some([n for n in matched if isinstance(modules[n], nn.Conv2d)]),
                    instead="make the pattern narrower, such as 'layer4.*conv2'",
                )
        chosen.update(matched)
    if not chosen:
        raise UsageError("no pattern says which convolutions to augment", got=patterns)
    by_identity = {id(modules[name]): name for name in reversed(modules) if name in chosen}
    return [name for name in modules if name in by_identity.values()]


def check_augmentable(name: str, convolution: nn.Conv2d) -> None:
    """Make sure that an augmented convolution can take the place of this one.

    Raises:
        UsageError: it is grouped, dilated, of even or unequal sides, not padded by half its
            window, or computed by code of its own.
    """
    kernel, stride = convolution.kernel_size, convolution.stride
    half = tuple(side // 2 for side in kernel)
    problems: Mapping[str, tuple[bool, object, str]] = {
        "is computed by code of its own": (
            _has_own_code(convolution),
            type(convolution).__name__,
            "torch.nn.Conv2d, without parametrizations",
        ),
        "is grouped": (convolution.groups != 1, f"groups={convolution.groups}", "groups=1"),
        "is dilated": (
            set(convolution.dilation) != {1},
            f"dilation={convolution.dilation}",
            "dilation=1",
        ),
        "has no odd and square window": (
            kernel[0] != kernel[1] or kernel[0] % 2 == 0,
            f"kernel_size={kernel}",
            "(1, 1), (3, 3), (5, 5) …",
        ),
        "has unequal strides": (stride[0] != stride[1], f"stride={stride}", "equal strides"),
        "is not padded by half its window": (
            convolution.padding not in ("same", half),
            f"padding={convolution.padding}",
            f"padding={half}, which keeps the resolution",
        ),
        "is not padded by zeros": (
            convolution.padding_mode != "zeros",
            f"padding_mode={convolution.padding_mode!r}",
            "'zeros'",
        ),
    }
    for what, (broken, got, allowed) in problems.items():
        if broken:
            raise UsageError(
                f"the convolution {name} cannot be augmented: it {what}",
                got=str(got),
                allowed=allowed,
                instead="leave it out of layers",
            )


def downsample_of(name: str, downsample: int | Mapping[str, int]) -> int:
    """The factor of the first pattern that matches the name; 1 where none does."""
    if isinstance(downsample, int):
        return downsample
    return next((each for pattern, each in downsample.items() if fnmatchcase(name, pattern)), 1)


def _has_own_code(convolution: nn.Conv2d) -> bool:
    """Whether a subclass or a parametrization changes what the convolution computes."""
    kind = type(convolution)
    inherits = kind.forward is nn.Conv2d.forward and kind._conv_forward is nn.Conv2d._conv_forward
    return not inherits or parametrize.is_parametrized(convolution)


def _some(names: list[str], most: int = 12) -> list[str]:
    """The first few names, for a message."""
    if not names:
        return ["none: there is no Conv2d among them"]
    return names if len(names) <= most else [*names[:most], f"and {len(names) - most} more"]
