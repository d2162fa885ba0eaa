"""How the form `blocked` cuts heads and queries into blocks, and where a block's offsets lie.

Shapes: B images, Nh heads, H x W pixels; a block has G heads and R queries; S = (2H-1) + (2W-1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

Heads = tuple[slice, slice]
"""Some images and some of their heads."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of query pixels that lie next to each other in memory too.

    It is either some whole rows of the image or a part of one row.

    Attributes:
        top: its first row in the image.
        left: its first column in the image.
        height: its rows.
        width: its columns.
        resolution: (H, W) of the image.
    """

    top: int
    left: int
    height: int
    width: int
    resolution: tuple[int, int]

    @property
    def size(self) -> int:
        """R, the number of queries."""
        return self.height * self.width

    @property
    def pixels(self) -> slice:
        """Which of the N pixels the queries are."""
        first = self.top * self.resolution[1] + self.left
        return slice(first, first + self.size)

    def by_key_pixel(self, by_key: Tensor) -> Tensor:
        """Numbers of queries and keys, (G, R, N), as (G, height, width, H, W)."""
        return by_key.view(-1, self.height, self.width, *self.resolution)

    def by_key_line(self, by_offset: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of queries and offsets, (G, R, S), by the row and by the column of the key.

        From a query to its neighbour the offset j - i of a key falls by one. So the stride of the
        query's row or column is one element shorter than the distance in memory, and that is the
        whole skew. Every element seen is another element of ``by_offset``: logits are read through
        these views and gradients written.

        Args:
            by_offset: contiguous; the 2H-1 vertical offsets from -(H-1), then the horizontal ones.

        Returns:
            Views a (G, height, width, H) and b (G, height, width, W).
        """
        G, R, S = by_offset.shape
        H, W = self.resolution
        row = self.width * S
        start = by_offset.storage_offset()
        a = by_offset.as_strided(
            (G, self.height, self.width, H),
            (R * S, row - 1, S, 1),
            start + H - 1 - self.top,
        )
        b = by_offset.as_strided(
            (G, self.height, self.width, W),
            (R * S, row, S - 1, 1),
            start + 2 * H - 1 + W - 1 - self.left,
        )
        return a, b


@dataclass(frozen=True, slots=True)
class Tiling:
    """At most so many images, heads, rows and columns of queries at once.

    Attributes:
        batch: B.
        heads: Nh.
        resolution: (H, W).
        images_at_once: images of a block.
        heads_at_once: heads of each of its images; all where there are several images.
        rows_at_once: image rows of queries of each head.
        columns_at_once: queries of a row; all where there are several rows.
    """

    batch: int
    heads: int
    resolution: tuple[int, int]
    images_at_once: int
    heads_at_once: int
    rows_at_once: int
    columns_at_once: int

    @classmethod
    def largest(
        cls, batch: int, heads: int, resolution: tuple[int, int], *, queries: int, threads: int
    ) -> Tiling:
        """The largest blocks of at most this many queries, those of all their heads together.

        As many heads at once as there are threads, because each of several products runs on a
        thread of its own and is quickest so; then as many queries of each as fit; then more heads.
        """
        H, W = resolution
        parallel = max(1, min(threads, batch * heads))
        whole_heads = parallel * (queries // (H * W * parallel))
        together = min(queries, max(parallel, whole_heads))
        images_at_once = part_size(batch, together // heads)
        heads_at_once = part_size(heads, together)
        left = queries // (images_at_once * heads_at_once)
        return cls(
            batch,
            heads,
            resolution,
            images_at_once,
            heads_at_once,
            rows_at_once=part_size(H, left // W),
            columns_at_once=part_size(W, left),
        )

    def head_blocks(self) -> Iterator[Heads]:
        """The heads of each block, the most first."""
        for images in _parts(self.batch, self.images_at_once):
            for heads in _parts(self.heads, self.heads_at_once):
                yield images, heads

    def tiles(self) -> Iterator[Tile]:
        """The queries of each block, the most first."""
        H, W = self.resolution
        for rows in _parts(H, self.rows_at_once):
            for columns in _parts(W, self.columns_at_once):
                height, width = rows.stop - rows.start, columns.stop - columns.start
                yield Tile(rows.start, columns.start, height, width, self.resolution)


def part_size(total: int, most: int) -> int:
    """The size of the parts, at most this many and at least one, that cut a total evenly."""
    parts = -(-total // max(1, most))
    return max(1, -(-total // max(1, parts)))


def _parts(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(total, start + size))
