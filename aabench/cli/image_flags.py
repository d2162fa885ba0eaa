"""The flag that says a network's input image in one word, and the axes that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from aabench.errors import UsageError

Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="CxHxW",
        help="Input image of a network, such as 3x224x224: --image-channels and --resolution in one.",
        show_default=False,
    ),
]


def with_image(axes: Mapping[str, str | None], image: str | None) -> dict[str, str | None]:
    """The axes with those that ``--input CxHxW`` stands for.

    Raises:
        UsageError: no image, or one of these axes is given as well.
    """
    if image is None:
        return dict(axes)
    for name in ("resolution", "image_channels"):
        if axes[name] is not None:
            raise UsageError(
                f"--input and --{name.replace('_', '-')} say the same", instead="give one of them"
            )
    channels, *sides = image.lower().split("x")
    if len(sides) != 2 or not all(part.isdecimal() for part in (channels, *sides)):
        raise UsageError("--input: not an image", got=image, allowed="CxHxW, such as 3x224x224")
    return {**axes, "image_channels": channels, "resolution": "x".join(sides)}
