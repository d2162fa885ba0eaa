"""The training time: the hours that epochs over a data set take at a measured speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aabench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Rate = TypeVar("Rate", float, "pd.Series[float]")


def images_to_train(epochs: float | None, images: int | None) -> float | None:
    """Images that training sees, None if nobody asked.

    Raises:
        UsageError: one of the two without the other.
    """
    if (epochs is None) != (images is None):
        raise UsageError(
            "--epochs and --images go together",
            instead="give both, such as --epochs 90 --images 1281167",
        )
    return None if epochs is None or images is None else epochs * images


def training_hours(images: float, items_per_s: Rate) -> Rate:
    """Hours for so many images; what loads them must keep up, and evaluation is not in it."""
    return images / items_per_s / 3600


def with_training_hours(frame: pd.DataFrame, images: float) -> pd.DataFrame:
    """The frame with the column ``training_hours`` filled in its rows of whole training steps."""
    trained = frame["mode"] == "train"
    hours = training_hours(images, frame["items_per_s"].astype(float))
    told = frame.assign(training_hours=hours.where(trained))
    told.attrs = frame.attrs
    return told
