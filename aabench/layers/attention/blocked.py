"""The form `blocked`: exact attention in one bounded buffer, forward and backward, on any device.

A block is a range of queries of a few heads against all of their keys. Its logits are written into
a buffer that every block reuses, so memory never scales with N^2. Nothing is saved but the inputs:
the backward pass computes the weights of each block once more. Inside a block everything is at
least single precision.

Shapes: B images, Nh heads, N = H * W pixels in row-major order; a block has G heads and R queries.
The two tables are joined into one with S = (2H-1) + (2W-1) columns. Inside blocks channels come
before pixels, (G, d, R), as in the convolutions around the layer: nothing has to be transposed,
and products with few channels are quickest so. Every product is written into given memory, which
also keeps autocast away from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aabench.errors import UnsupportedCase, UsageError
from aabench.layers.attention.blocked_tiles import Tile, Tiling

DEFAULT_BUFFER_BYTES = 16 * 2**20
"""What a block may take unless told otherwise: much smaller blocks lose time, larger ones memory."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
    *,
    buffer_bytes: int = DEFAULT_BUFFER_BYTES,
) -> Tensor:
    """softmax(q k^T + a[:, jy] + b[:, jx]) v without an N x N map, in either direction.

    Beyond inputs and results it holds ``buffer_bytes``, and the keys and values of the few heads
    that one block looks at. Half precision is computed in single precision inside the blocks.

    Args:
        q: (B, Nh, N, dk/Nh), scaled.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh).
        resolution: (H, W), with N = H * W.
        buffer_bytes: the most that a block's logits, queries and results may take, together with
            their gradients in the backward pass.

    Returns:
        (B, Nh, N, dv/Nh), of v's data type and laid out channels first.

    Raises:
        UnsupportedCase: an input is not floating point or has fewer than 16 bits; or, later, a
            gradient is differentiated a second time.
        UsageError: the buffer is too small for a single query.
    """
    tensors = (q, k, v, *(tables or ()))
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
            raise UnsupportedCase("blocked", f"an input is {tensor.dtype}; it takes {known}")
    sizes = _Sizes(*resolution, buffer_bytes)
    _refuse_other_sizes(_Inputs(*tensors), sizes)
    _queries_that_fit(_Inputs(*tensors), sizes, copies=2)  # refuses a buffer that is too small
    attended: Tensor = _BlockedAttention.apply(tuple(sizes), *tensors)
    return attended


class _Sizes(NamedTuple):
    """What the passes must know beside their tensors."""

    H: int
    W: int
    buffer_bytes: int


class _Inputs(NamedTuple):
    """What can be differentiated, in the order of the gradients."""

    q: Tensor
    k: Tensor
    v: Tensor
    height: Tensor | None = None
    width: Tensor | None = None

    def computed_in(self) -> torch.dtype:
        """The data type inside the blocks: the widest of the inputs', single precision at least."""
        dtypes = (tensor.dtype for tensor in self if tensor is not None)
        return reduce(torch.promote_types, dtypes, torch.float32)


class _BlockedAttention(torch.autograd.Function):
    """Both passes as one differentiable operation, which saves only its inputs."""

    @staticmethod
    def forward(sizes: Sequence[int], *tensors: Tensor) -> Tensor:
        run = _opaque_forward if torch.compiler.is_compiling() else _forward
        return run(tensors, sizes)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.sizes, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad_attended: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        run = _opaque_backward if torch.compiler.is_compiling() else _backward
        with torch.no_grad():
            computed = iter(run(grad_attended, tensors, ctx.sizes, needed))
        gradients = [next(computed) if is_needed else None for is_needed in needed]
        if torch.is_grad_enabled():  # with create_graph somebody may differentiate them again
            gradients = [
                _Once.apply(gradient, grad_attended, *tensors) if gradient is not None else None
                for gradient in gradients
            ]
        return (None, *gradients)


class _Once(torch.autograd.Function):
    """A gradient that refuses, by name, to be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *depends_on: Tensor) -> Tensor:
        return gradient

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Tensor:
        raise UnsupportedCase(
            "blocked",
            "it has no second derivatives; take attention='broadcast' to differentiate a gradient",
        )


def _forward(tensors: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """The attended values, (B, Nh, N, dv/Nh).

    Args:
        tensors: q, k, v and the tables, if there are any.
        sizes: H, W and the bytes of the buffer.
    """
    inputs = _Inputs(*tensors)
    q, k, v = inputs[:3]
    tiling = _tiling(inputs, _Sizes(*sizes), copies=1)
    workspace = _Workspace(inputs)
    attended = _channels_first(v)
    for heads in tiling.head_blocks():
        keys, values = workspace.load("keys", k[heads]), workspace.load("values", v[heads])
        for tile in tiling.tiles():
            queries = workspace.load("queries", q[*heads, tile.pixels])
            weights = workspace.weights(queries, keys, tile)
            block = workspace.take("attended", *values.shape[:2], tile.size)
            torch.bmm(values, weights.mT, out=block)
            _store(block, attended[*heads, tile.pixels])
    return attended


def _backward(
    grad_attended: Tensor, tensors: Sequence[Tensor], sizes: Sequence[int], needed: Sequence[bool]
) -> list[Tensor]:
    """The gradients of the tensors, in their order, without those that are not needed.

    Args:
        grad_attended: the gradient of the attended values.
        tensors: q, k, v and the tables, if there are any.
        sizes: H, W and the bytes of the buffer.
        needed: which of the tensors' gradients are.
    """
    inputs = _Inputs(*tensors)
    q, k, v = inputs[:3]
    needs_q, needs_k, needs_v, *needs_tables = needed
    needs_logits = needs_q or needs_k or any(needs_tables)
    tiling = _tiling(inputs, _Sizes(*sizes), copies=2)
    workspace = _Workspace(inputs)
    grad_q, grad_k, grad_v = map(_channels_first, (q, k, v))
    for heads in tiling.head_blocks():
        keys, values = workspace.load("keys", k[heads]), workspace.load("values", v[heads])
        grad_keys = workspace.take("grad keys", *keys.shape).zero_()
        grad_values = workspace.take("grad values", *values.shape).zero_()
        for tile in tiling.tiles():
            queries = workspace.load("queries", q[*heads, tile.pixels])
            upstream = workspace.load("upstream", grad_attended[*heads, tile.pixels])
            weights = workspace.weights(queries, keys, tile)
            if needs_v:
                _add_product(grad_values, upstream, weights)
            if needs_logits:
                grad_logits = workspace.grad_logits(upstream, values, weights)
                _add_product(grad_keys, queries, grad_logits)
                grad_queries = workspace.grad_queries(queries, keys, grad_logits, tile)
                _store(grad_queries, grad_q[*heads, tile.pixels])
        _store(grad_keys, grad_k[heads])
        _store(grad_values, grad_v[heads])
    gradients = [grad_q, grad_k, grad_v, *workspace.grad_tables()]
    return [gradient for gradient, is_needed in zip(gradients, needed, strict=True) if is_needed]


class _Workspace:
    """The memory that all blocks of one pass share, and what is computed in it.

    Tensors are taken by name. The first block is the largest, so each is allocated once.
    """

    def __init__(self, inputs: _Inputs) -> None:
        self._tables = (inputs.height, inputs.width)
        self._dtype = inputs.computed_in()
        self._device = inputs.q.device
        self._flat: dict[str, Tensor] = {}
        self._table: Tensor | None = None
        self._grad_table: Tensor | None = None
        if inputs.height is not None and inputs.width is not None:
            rows = (inputs.height.to(self._dtype), inputs.width.to(self._dtype))
            self._table = torch.cat(rows).mT.contiguous()

    def take(self, name: str, *shape: int) -> Tensor:
        """The memory of this name in this shape, with whatever it holds."""
        size = math.prod(shape)
        if name not in self._flat:
            self._flat[name] = torch.empty(size, dtype=self._dtype, device=self._device)
        return self._flat[name][:size].view(shape)

    def load(self, name: str, pixels: Tensor) -> Tensor:
        """A copy (G, d, R) of some heads' pixels (b, h, R, d), G = b * h, in the blocks' data type."""
        b, h, R, d = pixels.shape
        block = self.take(name, b * h, d, R)
        block.view(b, h, d, R).copy_(pixels.mT)
        return block

    def weights(self, queries: Tensor, keys: Tensor, tile: Tile) -> Tensor:
        """The softmax over all keys of the tile's logits, (G, R, N)."""
        G, _, R = queries.shape
        logits = self.take("logits", G, R, keys.shape[-1])
        if self._table is None:
            torch.bmm(queries.mT, keys, out=logits)
        else:
            by_offset = self.take("by offset", G, R, self._table.shape[-1])
            torch.bmm(queries.mT, self._table.expand(G, -1, -1), out=by_offset)
            a, b = tile.by_key_line(by_offset)
            torch.add(a[..., :, None], b[..., None, :], out=tile.by_key_pixel(logits))
            _add_product(logits, queries.mT, keys)
        return torch.softmax(logits, -1, out=logits)

    def grad_logits(self, upstream: Tensor, values: Tensor, weights: Tensor) -> Tensor:
        """The gradient (G, R, N) of the tile's logits from that of its results, (G, dv/Nh, R)."""
        gradient = self.take("grad logits", *weights.shape)
        torch.bmm(upstream.mT, values, out=gradient)
        softmax_backward = torch.ops.aten._softmax_backward_data.out
        softmax_backward(gradient, weights, -1, weights.dtype, grad_input=gradient)
        return gradient

    def grad_queries(
        self, queries: Tensor, keys: Tensor, grad_logits: Tensor, tile: Tile
    ) -> Tensor:
        """The gradient (G, dk/Nh, R) of the tile's queries; adds up the table's on the way."""
        G = len(queries)
        gradient = self.take("grad queries", *queries.shape)
        torch.bmm(keys, grad_logits.mT, out=gradient)
        if self._table is not None:
            by_offset = self._summed_by_offset(grad_logits, tile)
            _add_product(gradient, self._table.expand(G, -1, -1), by_offset.mT)
            if self._grad_table is None:
                self._grad_table = self._table.new_zeros(G, *self._table.shape)
            _add_product(self._grad_table[:G], queries, by_offset)
        return gradient

    def grad_tables(self) -> tuple[Tensor, ...]:
        """The gradients of both tables, of their own data types; none where there are no tables."""
        height, width = self._tables
        if self._table is None or height is None or width is None:
            return ()
        total = torch.zeros_like(self._table)
        if self._grad_table is not None:
            torch.sum(self._grad_table, 0, out=total)
        rows = total.mT
        return (
            _row_major(height).copy_(rows[: len(height)]),
            _row_major(width).copy_(rows[len(height) :]),
        )

    def _summed_by_offset(self, grad_logits: Tensor, tile: Tile) -> Tensor:
        """The gradient (G, R, S) of the products of queries and table."""
        offsets = 2 * sum(tile.resolution) - 2
        by_offset = self.take("grad by offset", *grad_logits.shape[:2], offsets).zero_()
        a, b = tile.by_key_line(by_offset)
        by_key = tile.by_key_pixel(grad_logits)
        torch.sum(by_key, -1, out=a)
        torch.sum(by_key, -2, out=b)
        return by_offset


def _tiling(inputs: _Inputs, sizes: _Sizes, copies: int) -> Tiling:
    """The blocks that fit the buffer; ``copies`` is 2 if their gradients have to fit as well."""
    B, Nh, _, _ = inputs.q.shape
    return Tiling.largest(
        B,
        Nh,
        sizes[:2],
        queries=_queries_that_fit(inputs, sizes, copies),
        threads=torch.get_num_threads(),
    )


def _queries_that_fit(inputs: _Inputs, sizes: _Sizes, copies: int) -> int:
    """How many queries of one head, with all they need, the buffer holds.

    Raises:
        UsageError: not even one.
    """
    numbers = inputs.k.shape[-2] + 2 * (sizes.H + sizes.W) - 2
    numbers += 2 * (inputs.q.shape[-1] + inputs.v.shape[-1])
    query_bytes = numbers * copies * inputs.computed_in().itemsize
    if sizes.buffer_bytes < query_bytes:
        raise UsageError(
            "the buffer of the blocked attention is too small for one query",
            got=f"{sizes.buffer_bytes} bytes",
            allowed=f"at least {query_bytes} bytes at {sizes.H}x{sizes.W}",
        )
    return sizes.buffer_bytes // query_bytes


def _refuse_other_sizes(inputs: _Inputs, sizes: _Sizes) -> None:
    """Strided views of tables of another resolution would read other numbers without an error.

    Raises:
        UsageError: the pixels or the tables do not belong to the resolution.
    """
    H, W, _ = sizes
    tables = (table for table in (inputs.height, inputs.width) if table is not None)
    got = (inputs.q.shape[-2], *map(len, tables))
    expected = (H * W, 2 * H - 1, 2 * W - 1)[: len(got)]
    if got != expected:
        raise UsageError(
            "pixels or rows of the position tables do not belong to the resolution",
            got=got,
            allowed=f"{expected} at {H}x{W}",
        )


def _channels_first(like: Tensor) -> Tensor:
    """Uninitialised (B, Nh, N, d) that lies in memory as a convolution wants it, (B, Nh, d, N)."""
    B, Nh, N, d = like.shape
    return torch.empty(B, Nh, d, N, dtype=like.dtype, device=like.device).mT


def _row_major(like: Tensor) -> Tensor:
    """Uninitialised, contiguous, and nobody else's view."""
    return torch.empty(like.shape, dtype=like.dtype, device=like.device)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to the total: spelled so, because torch's counter of FLOPs knows no other."""
    torch.baddbmm(total, left, right, out=total)


def _store(block: Tensor, pixels: Tensor) -> None:
    """Write (G, d, R) to some heads' pixels (b, h, R, d), in their data type."""
    b, h, R, d = pixels.shape
    pixels.mT.copy_(block.view(b, h, d, R))


# While compiling, a pass is one operation that dynamo, autograd and inductor look no further into:
# unrolling it would compile hundreds of blocks, and give each of them a buffer of its own.
_opaque_forward = torch.library.custom_op("aabench::blocked_attention", _forward, mutates_args=())
_opaque_backward = torch.library.custom_op(
    "aabench::blocked_attention_backward", _backward, mutates_args=()
)


@_opaque_forward.register_fake
def _(tensors: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    return _channels_first(tensors[2])


@_opaque_backward.register_fake
def _(
    grad_attended: Tensor, tensors: Sequence[Tensor], sizes: Sequence[int], needed: Sequence[bool]
) -> list[Tensor]:
    gradients = [_channels_first(pixels) for pixels in tensors[:3]]
    gradients += [_row_major(table) for table in tensors[3:]]
    return [gradient for gradient, is_needed in zip(gradients, needed, strict=True) if is_needed]
