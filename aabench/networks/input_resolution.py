"""The resolution a network is built for, as its builder takes it."""

from __future__ import annotations

from aabench.layers.arguments import resolution_pair

Resolution = int | tuple[int, int]
"""(H, W) of the largest image, or one number for both."""


def image_size(resolution: Resolution) -> tuple[int, int, int]:
    """(C, H, W) of a colour image.

    Raises:
        UsageError: neither one positive number nor two.
    """
    return (3, *resolution_pair(resolution))
