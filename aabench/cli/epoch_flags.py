"""The flags that ask how long a whole training takes."""

from __future__ import annotations

from typing import Annotated

import typer

Epochs = Annotated[
    float | None,
    typer.Option(
        "--epochs",
        min=0,
        help="With --images: hours of so many epochs, from the measured time of a train step.",
        show_default=False,
    ),
]
Images = Annotated[
    int | None,
    typer.Option(
        "--images",
        min=1,
        help="Images of the data set: ImageNet's 1281167, CIFAR's 50000.",
        show_default=False,
    ),
]
