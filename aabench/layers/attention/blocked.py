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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import torch
from torch import Tensor

from aabench.errors import UnsupportedCase, UsageError

DEFAULT_BUFFER_BYTES = 16 * 2**20
"""What a block may take unless told otherwise."""

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
        buffer_bytes: the most that a block's logits, queries and results may take.

    Returns:
        (B, Nh, N, dv/Nh), of v's data type and laid out channels first.

    Raises:
        UnsupportedCase: an input is not floating point or has fewer than 16 bits; or, later, a
            gradient is differentiated a second time.
        UsageError: the buffer is too small for one query.
    """
    tensors = (q, k, v, *(tables or (None, None)))
    for tensor in tensors:
        if tensor is not None and tensor.dtype not in _DTYPES:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
            raise UnsupportedCase("blocked", f"an input is {tensor.dtype}; it takes {known}")
    attended: Tensor = _BlockedAttention.apply(*tensors, *resolution, buffer_bytes)
    return attended


class _BlockedAttention(torch.autograd.Function):
    """Both passes as one differentiable operation, which saves only its inputs."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        run = _opaque_forward if torch.compiler.is_compiling() else _forward
        return run(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.height, ctx.width, ctx.buffer_bytes = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad_attended: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[:5]
        settings = (ctx.height, ctx.width, ctx.buffer_bytes, needed)
        run = _opaque_backward if torch.compiler.is_compiling() else _backward
        with torch.no_grad():
            computed = iter(run(grad_attended, *tensors, *settings))
        gradients = [next(computed) if is_needed else None for is_needed in needed]
        if torch.is_grad_enabled():  # with create_graph somebody may differentiate them again
            gradients = [
                _Once.apply(gradient, grad_attended, *tensors) if gradient is not None else None
                for gradient in gradients
            ]
        return (*gradients, None, None, None)


class _Once(torch.autograd.Function):
    """A gradient that refuses, by name, to be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *depends_on: Tensor | None) -> Tensor:
        return gradient

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise UnsupportedCase(
            "blocked",
            "it has no second derivatives; take attention='broadcast' to differentiate a gradient",
        )


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    height: Tensor | None,
    width: Tensor | None,
    H: int,
    W: int,
    buffer_bytes: int,
) -> Tensor:
    """The attended values, (B, Nh, N, dv/Nh)."""
    scratch = _Scratch.for_inputs(q, k, v, height, width)
    tiling = _Tiling.within(buffer_bytes, 1, scratch.dtype, q, v, (H, W))
    table = _joined(height, width, scratch.dtype)
    attended = _channels_first(v)
    for heads in tiling.heads():
        keys, values = scratch.load("keys", k[heads]), scratch.load("values", v[heads])
        for tile in tiling.tiles():
            queries = scratch.load("queries", q[*heads, tile.pixels])
            weights = _weights(scratch, queries, keys, table, tile)
            block = scratch.take("attended", *values.shape[:2], tile.size)
            torch.bmm(values, weights.mT, out=block)
            _store(block, attended[*heads, tile.pixels])
    return attended


def _backward(
    grad_attended: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    height: Tensor | None,
    width: Tensor | None,
    H: int,
    W: int,
    buffer_bytes: int,
    needed: Sequence[bool],
) -> list[Tensor]:
    """The gradients of q, k, v and both tables, in this order, without those not needed."""
    scratch = _Scratch.for_inputs(q, k, v, height, width)
    tiling = _Tiling.within(buffer_bytes, 2, scratch.dtype, q, v, (H, W))
    table = _joined(height, width, scratch.dtype)
    grad_q, grad_k, grad_v = (
        _channels_first(x) if wanted else None for x, wanted in zip((q, k, v), needed[:3], strict=True)
    )
    needs_logits = any((*needed[:2], *needed[3:]))
    grad_table = scratch.take("grad table", tiling.heads_in_a_block, q.shape[-1], 2 * (H + W - 1))
    grad_table.zero_()
    for heads in tiling.heads():
        keys, values = scratch.load("keys", k[heads]), scratch.load("values", v[heads])
        grad_keys = scratch.take("grad keys", *keys.shape).zero_()
        grad_values = scratch.take("grad values", *values.shape).zero_()
        for tile in tiling.tiles():
            queries = scratch.load("queries", q[*heads, tile.pixels])
            upstream = scratch.load("upstream", grad_attended[*heads, tile.pixels])
            weights = _weights(scratch, queries, keys, table, tile)
            grad_values.baddbmm_(upstream, weights)
            if not needs_logits:
                continue
            grad_logits = _grad_logits(scratch, upstream, values, weights)
            grad_keys.baddbmm_(queries, grad_logits)
            grad_queries = scratch.take("grad queries", *queries.shape)
            torch.bmm(keys, grad_logits.mT, out=grad_queries)
            if table is not None:
                grad_offsets = _sum_by_offset(scratch, grad_logits, tile)
                grad_queries.baddbmm_(table.expand(len(queries), -1, -1), grad_offsets.mT)
                grad_table[: len(queries)].baddbmm_(queries, grad_offsets)
            if grad_q is not None:
                _store(grad_queries, grad_q[*heads, tile.pixels])
        if grad_k is not None:
            _store(grad_keys, grad_k[heads])
        if grad_v is not None:
            _store(grad_values, grad_v[heads])
    gradients = [grad_q, grad_k, grad_v]
    if table is not None and height is not None and width is not None:
        rows = grad_table.sum(0).mT
        gradients += [rows[: 2 * H - 1].to(height.dtype), rows[2 * H - 1 :].to(width.dtype)]
    return [g for g, wanted in zip(gradients, needed) if wanted]


def _weights(
    scratch: _Scratch, queries: Tensor, keys: Tensor, table: Tensor | None, tile: _Tile
) -> Tensor:
    """The softmax of the tile's logits, (G, R, N), in the buffer of the logits."""
    G, d, R = queries.shape
    logits = scratch.take("logits", G, R, keys.shape[-1])
    if table is None:
        torch.bmm(queries.mT, keys, out=logits)
    else:
        offsets = scratch.take("offsets", G, R, table.shape[-1])
        torch.bmm(queries.mT, table.expand(G, -1, -1), out=offsets)
        a, b = tile.by_key(offsets)
        torch.add(a[..., :, None], b[..., None, :], out=tile.as_images(logits))
        logits.baddbmm_(queries.mT, keys)
    return torch.softmax(logits, -1, out=logits)


def _grad_logits(scratch: _Scratch, upstream: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """From the attended values' gradient (G, dv, R) to that of the logits, (G, R, N)."""
    gradient = scratch.take("grad logits", *weights.shape)
    torch.bmm(upstream.mT, values, out=gradient)
    return torch._softmax_backward_data(gradient, weights, -1, weights.dtype, grad_input=gradient)


def _sum_by_offset(scratch: _Scratch, grad_logits: Tensor, tile: _Tile) -> Tensor:
    """The gradient (G, R, S) of the products of queries and table, from that of the logits."""
    S = 2 * (tile.H + tile.W - 1)
    gradient = scratch.take("grad offsets", *grad_logits.shape[:2], S).zero_()
    a, b = tile.by_key(gradient)
    by_key = tile.as_images(grad_logits)
    torch.sum(by_key, -1, out=a)
    torch.sum(by_key, -2, out=b)
    return gradient


def _joined(height: Tensor | None, width: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if height is None or width is None:
        return None
    return torch.cat((height.to(dtype), width.to(dtype))).mT.contiguous()


def _channels_first(like: Tensor) -> Tensor:
    B, Nh, N, d = like.shape
    return torch.empty(B, Nh, d, N, dtype=like.dtype, device=like.device).mT


def _store(block: Tensor, target: Tensor) -> None:
    b, h, R, d = target.shape
    target.mT.copy_(block.view(b, h, d, R))


class _Scratch:
    def __init__(self, dtype, device):
        self.dtype = dtype; self.device = device
        self._flat: dict[str, Tensor] = {}

    @classmethod
    def for_inputs(cls, *inputs):
        dtypes = [x.dtype for x in inputs if x is not None]
        return cls(reduce(torch.promote_types, dtypes, torch.float32), inputs[0].device)

    def take(self, name, *shape):
        size = math.prod(shape)
        flat = self._flat.get(name)
        if flat is None:
            flat = self._flat[name] = torch.empty(size, dtype=self.dtype, device=self.device)
        return flat[:size].view(shape)

    def load(self, name, source):
        b, h, R, d = source.shape
        target = self.take(name, b * h, d, R)
        target.view(b, h, d, R).copy_(source.mT)
        return target


@dataclass(frozen=True, slots=True)
class _Tile:
    top: int
    left: int
    rows: int
    columns: int
    H: int
    W: int

    @property
    def size(self): return self.rows * self.columns

    @property
    def pixels(self):
        first = self.top * self.W + self.left
        return slice(first, first + self.size)

    def as_images(self, x):
        return x.view(-1, self.rows, self.columns, self.H, self.W)

    def by_key(self, offsets):
        G, R, S = offsets.shape
        start = offsets.storage_offset()
        a = offsets.as_strided((G, self.rows, self.columns, self.H), (R * S, self.columns * S - 1, S, 1), start + self.H - 1 - self.top)
        b = offsets.as_strided((G, self.rows, self.columns, self.W), (R * S, self.columns * S, S - 1, 1), start + 2 * self.H - 1 + self.W - 1 - self.left)
        return a, b


@dataclass(frozen=True, slots=True)
class _Tiling:
    B: int
    Nh: int
    H: int
    W: int
    images_in_a_block: int
    h: int
    rows: int
    columns: int

    @property
    def heads_in_a_block(self): return self.images_in_a_block * self.h

    @classmethod
    def within(cls, buffer_bytes, copies, dtype, q, v, resolution):
        B, Nh, N, dk = q.shape
        H, W = resolution
        per_query = copies * dtype.itemsize * (N + 2 * (H + W - 1) + 2 * dk + 2 * v.shape[-1])
        fit = buffer_bytes // per_query
        if fit < 1:
            raise UsageError("the buffer of the blocked attention is too small", got=f"{buffer_bytes} bytes", allowed=f"at least {per_query} bytes, what one of {N} queries takes")
        threads = torch.get_num_threads()
        whole = fit // N
        if whole >= min(threads, B * Nh):
            whole -= whole % threads if whole>threads else 0
            images = max(1, min(B, whole // Nh))
            images = even(B, images)
            h = even(Nh, min(Nh, whole))
            return cls(B, Nh, H, W, images, h, H, W)
        h = min(Nh, threads)
        fit = max(1, fit // h)
        if fit >= W:
            return cls(B, Nh, H, W, 1, h, even(H, min(fit // W, H)), W)
        return cls(B, Nh, H, W, 1, h, 1, even(W, fit))

    def heads(self):
        for i in range(0, self.B, self.images_in_a_block):
            for j in range(0, self.Nh, self.h):
                yield slice(i, min(self.B, i + self.images_in_a_block)), slice(j, min(self.Nh, j + self.h))

    def tiles(self):
        for y in range(0, self.H, self.rows):
            for x in range(0, self.W, self.columns):
                yield _Tile(y, x, min(self.rows, self.H - y), min(self.columns, self.W - x), self.H, self.W)


def even(total, most):
    return -(-total // -(-total // most))


_opaque_forward = _opaque_backward = None
