"""How the fused Triton kernels cut an attention into tiles: a written table, nothing is tuned at run time.

Names: a tile of the logits is ``queries`` consecutive queries by ``rows * columns`` keys, a patch of
the image. Tensor-core products want at least 16 of everything.
"""

from __future__ import annotations

from typing import NamedTuple

from aabench.errors import UnsupportedCase

SMALLEST_DOT = 16
"""The smallest extent that a tile may have in a product, and so the least padded depth."""

LARGEST_DEPTH = 256
"""The largest dk/Nh or dv/Nh; a deeper tile fits neither registers nor shared memory."""

WASTE_FOR_WIDTH = 1.15
"""A wide patch of keys may have this many times the padded keys of the best one: it is cheaper."""


class Problem(NamedTuple):
    """What a kernel is compiled for.

    Attributes:
        heads: Nh.
        height: H of the attention map.
        width: W of it.
        key_depth: dk/Nh.
        value_depth: dv/Nh.
        has_positions: whether the logits get a[:, jy] + b[:, jx].
        precision: how float32 products are computed: ``ieee`` or ``tf32``; without effect on others.
    """

    heads: int
    height: int
    width: int
    key_depth: int
    value_depth: int
    has_positions: bool
    precision: str


class Tile(NamedTuple):
    """One kernel's tile, as the kernel sees it.

    Attributes:
        queries: consecutive queries.
        rows: image rows of keys, a power of two.
        columns: image columns of keys, a power of two.
        key_depth: dk/Nh padded to a power of two.
        value_depth: dv/Nh padded to a power of two.
    """

    queries: int
    rows: int
    columns: int
    key_depth: int
    value_depth: int


class Launch(NamedTuple):
    """A tile and the hardware it is given.

    Attributes:
        tile: the tile.
        warps: warps of 32 threads a program.
        stages: depth of the pipeline of loads.
    """

    tile: Tile
    warps: int
    stages: int


class Launches(NamedTuple):
    """The launches of the three kernels of one problem.

    Attributes:
        forward: output and log-sum-exp.
        query_gradients: the gradients of q, a and b, and rowsum(grad_out * out).
        key_gradients: the gradients of k and v.
    """

    forward: Launch
    query_gradients: Launch
    key_gradients: Launch


class _Size(NamedTuple):
    queries: int
    keys: int
    warps: int
    stages: int


# (kind of product, padded depth up to) -> sizes of (forward, query gradients, key gradients), read
# off the code compiled for sm80 and sm90: few instructions a logit, no or few registers spilled,
# and less than the 99 KiB of shared memory that sm86 and sm89 have (above 128 in double: more).
_SIZES: dict[tuple[str, int], tuple[_Size, _Size, _Size]] = {
    ("half", 32): (_Size(64, 64, 4, 3), _Size(64, 64, 4, 2), _Size(64, 64, 4, 2)),
    ("half", 64): (_Size(64, 64, 4, 3), _Size(64, 64, 4, 2), _Size(64, 64, 4, 2)),
    ("half", 128): (_Size(64, 64, 4, 2), _Size(64, 64, 4, 2), _Size(64, 64, 4, 1)),
    ("half", 256): (_Size(64, 32, 4, 2), _Size(32, 32, 4, 1), _Size(32, 32, 4, 1)),
    ("tf32", 32): (_Size(64, 64, 4, 2), _Size(64, 64, 4, 2), _Size(64, 64, 4, 2)),
    ("tf32", 64): (_Size(64, 64, 4, 2), _Size(64, 32, 4, 2), _Size(32, 64, 4, 2)),
    ("tf32", 128): (_Size(64, 32, 4, 2), _Size(32, 32, 4, 2), _Size(32, 32, 4, 2)),
    ("tf32", 256): (_Size(16, 32, 4, 1), _Size(16, 32, 4, 1), _Size(16, 32, 4, 1)),
    ("ieee", 32): (_Size(64, 32, 4, 2), _Size(64, 32, 4, 2), _Size(64, 32, 4, 2)),
    ("ieee", 64): (_Size(32, 32, 4, 2), _Size(32, 32, 4, 2), _Size(32, 32, 4, 2)),
    ("ieee", 128): (_Size(16, 32, 4, 1), _Size(32, 32, 8, 1), _Size(32, 32, 8, 1)),
    ("ieee", 256): (_Size(16, 16, 8, 1), _Size(16, 16, 8, 1), _Size(16, 16, 8, 1)),
    ("double", 32): (_Size(32, 32, 4, 1), _Size(16, 32, 4, 1), _Size(32, 32, 4, 1)),
    ("double", 64): (_Size(32, 32, 4, 1), _Size(16, 32, 4, 1), _Size(32, 32, 4, 1)),
    ("double", 128): (_Size(16, 16, 4, 1), _Size(16, 16, 4, 1), _Size(16, 16, 4, 1)),
    ("double", 256): (_Size(16, 16, 4, 1), _Size(16, 16, 4, 1), _Size(16, 16, 4, 1)),
}


def check_depths(form: str, problem: Problem) -> None:
    """Refuse depths that no tile can hold.

    Raises:
        UnsupportedCase: dk/Nh or dv/Nh is above ``LARGEST_DEPTH``.
    """
    for name, depth in (("dk/Nh", problem.key_depth), ("dv/Nh", problem.value_depth)):
        if depth > LARGEST_DEPTH:
            raise UnsupportedCase(
                form, f"{name} is {depth}, and its tiles hold up to {LARGEST_DEPTH}; use more heads"
            )


def choose_launches(problem: Problem, element_bytes: int) -> Launches:
    """The launches of the three attention kernels.

    Args:
        problem: what is computed, of depths up to ``LARGEST_DEPTH``.
        element_bytes: 2, 4 or 8, the size of the inputs' data type.
    """
    key_depth, value_depth = padded(problem.key_depth), padded(problem.value_depth)
    kind = {2: "half", 4: problem.precision, 8: "double"}[element_bytes]
    deepest = max(key_depth, value_depth)
    limit = min(limit for name, limit in _SIZES if name == kind and deepest <= limit)
    launches = []
    for size in _SIZES[kind, limit]:
        rows, columns = patch(problem.height, problem.width, size.keys)
        tile = Tile(size.queries, rows, columns, key_depth, value_depth)
        launches.append(Launch(tile, size.warps, size.stages))
    return Launches(*launches)


def choose_position_launch(problem: Problem, element_bytes: int) -> Launch:
    """The launch of the kernel that computes a and b: lines of queries by table rows."""
    depth = padded(problem.key_depth)
    largest = 64 if depth * element_bytes <= 256 else 32 if depth * element_bytes <= 1024 else 16
    line = min(largest, padded(max(problem.height, problem.width)))
    return Launch(Tile(line, 1, line, depth, SMALLEST_DOT), warps=4, stages=1)


def patch(height: int, width: int, keys: int) -> tuple[int, int]:
    """The patch (rows, columns) of ``keys`` keys with which to cover an image.

    The widest one that wastes little: width saves strips and per-row work, and the padded part of
    a patch costs as much as the real one.

    Args:
        height: H of the image.
        width: W of it.
        keys: size of the patch, a power of two.
    """
    shapes = [(keys >> power, 1 << power) for power in range(keys.bit_length())]
    areas = [_up(height, rows) * _up(width, columns) for rows, columns in shapes]
    limit = WASTE_FOR_WIDTH * min(areas)
    return [shape for shape, area in zip(shapes, areas, strict=True) if area <= limit][-1]


def padded(depth: int) -> int:
    """The power of two, 16 or more, to which a product's extent is padded."""
    return max(SMALLEST_DOT, 1 << (depth - 1).bit_length())


def query_blocks(problem: Problem, tile: Tile) -> int:
    """Programs an image and head of a kernel that owns blocks of queries."""
    return -(-problem.height * problem.width // tile.queries)


def key_patches(problem: Problem, tile: Tile) -> int:
    """Programs an image and head of a kernel that owns patches of keys."""
    return -(-problem.height // tile.rows) * -(-problem.width // tile.columns)


def line_groups(problem: Problem, lines: int) -> int:
    """Programs an image and head of the kernel that computes a and b."""
    return -(-problem.height // lines) + -(-problem.width // lines)


def _up(length: int, step: int) -> int:
    return -(-length // step) * step
