"""The fused kernels of the form `triton`, in Triton's language.

Every kernel walks over tiles of the logits: some consecutive queries by a patch of the image's
keys, ``rows`` by ``columns`` of it. The logits of a tile are q k^T plus b, which depends on the
key's column, plus a, which depends on its row. Two facts make both cheap:

- b of a tile is (queries, columns), the same for every row: it is loaded once for a whole strip.
- a of a tile is (queries, rows), one number for all columns of a row: it is never added to the
  logits themselves but to the row's maximum and to the shift inside the exponential.

Keys outside the image get -inf from a and b and so weigh nothing; queries outside it get a
log-sum-exp of +inf in the backward kernels and so pass nothing on. Nothing is gathered and nothing
is added atomically: every result is written by the one program that owns it.

``image`` below counts images and heads together. a is (image, N, H), b (image, N, W), log_sum_exp
and delta (image, N), all contiguous; the others are (B, Nh, N, channels) of any strides. Strides,
``problem`` and ``tile`` (see ``triton_tiles``) are compile-time constants, so that the compiler
knows how far loads are aligned.
"""
# A kernel is Triton's language in Python's syntax: its values have no Python types to check, and
# it is one function by nature, called with pointers in their order.
# mypy: ignore-errors
# ruff: noqa: PLR0915, PLR0917

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
INFINITY = tl.constexpr(float("inf"))


@triton.jit
def _of_head(pointer, strides, image, heads):
    """Where one image and head begins; 64 bits, since a batch may exceed 2^31 elements."""
    batch = (image // heads).to(tl.int64)
    return pointer + batch * strides[0] + (image % heads) * strides[1]


@triton.jit
def _load(pointer, strides, positions, channels, in_image, in_depth):
    """The tile (positions, channels) of one image and head, zero outside."""
    return tl.load(
        pointer + positions[:, None] * strides[2] + channels[None, :] * strides[3],
        mask=in_image[:, None] & in_depth[None, :],
        other=0.0,
    )


@triton.jit
def _load_transposed(pointer, strides, positions, channels, in_image, in_depth):
    """The tile (channels, positions) of one image and head, zero outside."""
    return tl.load(
        pointer + channels[:, None] * strides[3] + positions[None, :] * strides[2],
        mask=in_depth[:, None] & in_image[None, :],
        other=0.0,
    )


@triton.jit
def _store(pointer, tile, strides, positions, channels, in_image, in_depth):
    """Write the tile (positions, channels) of one image and head."""
    tl.store(
        pointer + positions[:, None] * strides[2] + channels[None, :] * strides[3],
        tile.to(pointer.dtype.element_ty),
        mask=in_image[:, None] & in_depth[None, :],
    )


@triton.jit
def _position_logits(logits, image, queries, index, tokens, length, has_positions, dtype):
    """The a or b of these queries at these key rows or columns, -inf outside; (1, index) without."""
    if has_positions:
        logits += image.to(tl.int64) * tokens * length
        tile = tl.load(
            logits + queries[:, None] * length + index[None, :],
            mask=(queries < tokens)[:, None] & (index < length)[None, :],
            other=-INFINITY,
        )
    else:
        tile = tl.where(index < length, 0.0, -INFINITY)[None, :]
    return tile.to(dtype)


@triton.jit
def _store_position_gradient(gradient, tile, image, queries, index, tokens, length, add):
    """Write, or add to what is there, the gradient of a or b at these key rows or columns."""
    pointers = gradient + image.to(tl.int64) * tokens * length + queries[:, None] * length
    pointers += index[None, :]
    mask = (queries < tokens)[:, None] & (index < length)[None, :]
    if add:
        tile += tl.load(pointers, mask=mask, other=0.0)
    tl.store(pointers, tile.to(gradient.dtype.element_ty), mask=mask)


@triton.jit
def _keys(top, left, problem, tile):
    """The flat positions of a patch of keys, and which of them lie in the image."""
    key = tl.arange(0, tile.rows * tile.columns)
    row = top + key // tile.columns
    column = left + key % tile.columns
    in_image = (row < problem.height) & (column < problem.width)
    return row * problem.width + column, in_image


@triton.jit
def forward_kernel(
    q,
    k,
    v,
    a,
    b,
    out,
    log_sum_exp,
    q_strides: tl.constexpr,
    k_strides: tl.constexpr,
    v_strides: tl.constexpr,
    out_strides: tl.constexpr,
    problem: tl.constexpr,
    tile: tl.constexpr,
):
    """One block of queries: the softmax over all keys, kept up to date tile by tile."""
    tokens: tl.constexpr = problem.height * problem.width
    block: tl.constexpr = tile.queries
    patch_rows: tl.constexpr = tile.rows
    patch_columns: tl.constexpr = tile.columns
    patch: tl.constexpr = tile.rows * tile.columns
    key_extent: tl.constexpr = tile.key_depth
    value_extent: tl.constexpr = tile.value_depth
    dtype: tl.constexpr = log_sum_exp.dtype.element_ty
    blocks: tl.constexpr = (tokens + block - 1) // block
    image = tl.program_id(0) // blocks
    queries = tl.program_id(0) % blocks * block + tl.arange(0, block)
    in_image = queries < tokens
    key_channels = tl.arange(0, key_extent)
    value_channels = tl.arange(0, value_extent)
    in_key_depth = key_channels < problem.key_depth
    in_value_depth = value_channels < problem.value_depth
    q = _of_head(q, q_strides, image, problem.heads)
    k = _of_head(k, k_strides, image, problem.heads)
    v = _of_head(v, v_strides, image, problem.heads)
    out = _of_head(out, out_strides, image, problem.heads)

    q_tile = _load(q, q_strides, queries, key_channels, in_image, in_key_depth)
    maximum = tl.full((block,), -INFINITY, dtype)
    total = tl.zeros((block,), dtype)
    attended = tl.zeros((block, value_extent), dtype)
    for left in range(0, problem.width, patch_columns):
        columns = left + tl.arange(0, patch_columns)
        b_tile = _position_logits(
            b, image, queries, columns, tokens, problem.width, problem.has_positions, dtype
        )
        for top in range(0, problem.height, patch_rows):
            keys, inside = _keys(top, left, problem, tile)
            k_tile = _load_transposed(k, k_strides, keys, key_channels, inside, in_key_depth)
            v_tile = _load(v, v_strides, keys, value_channels, inside, in_value_depth)
            rows = top + tl.arange(0, patch_rows)
            a_tile = _position_logits(
                a, image, queries, rows, tokens, problem.height, problem.has_positions, dtype
            )
            logits = tl.dot(q_tile, k_tile, input_precision=problem.precision, out_dtype=dtype)
            logits = tl.reshape(logits, (block, patch_rows, patch_columns))
            logits += b_tile[:, None, :]
            new_maximum = tl.maximum(maximum, tl.max(tl.max(logits, 2) + a_tile, 1))
            shift = (a_tile - new_maximum[:, None]) * LOG2_E
            weights = tl.exp2(logits * LOG2_E + shift[:, :, None])
            weights = tl.reshape(weights, (block, patch))
            shrink = tl.exp2((maximum - new_maximum) * LOG2_E)
            total = total * shrink + tl.sum(weights, 1)
            attended = tl.dot(
                weights.to(v_tile.dtype),
                v_tile,
                attended * shrink[:, None],
                input_precision=problem.precision,
                out_dtype=dtype,
            )
            maximum = new_maximum

    attended = attended / total[:, None]
    _store(out, attended, out_strides, queries, value_channels, in_image, in_value_depth)
    row = log_sum_exp + image.to(tl.int64) * tokens + queries
    tl.store(row, maximum + tl.log(total), mask=in_image)


@triton.jit
def query_gradients_kernel(
    q,
    k,
    v,
    a,
    b,
    out,
    log_sum_exp,
    grad_out,
    grad_q,
    grad_a,
    grad_b,
    delta,
    q_strides: tl.constexpr,
    k_strides: tl.constexpr,
    v_strides: tl.constexpr,
    out_strides: tl.constexpr,
    grad_out_strides: tl.constexpr,
    grad_q_strides: tl.constexpr,
    problem: tl.constexpr,
    tile: tl.constexpr,
):
    """One block of queries: its gradients of q, a and b, and delta = rowsum(grad_out * out)."""
    tokens: tl.constexpr = problem.height * problem.width
    block: tl.constexpr = tile.queries
    patch_rows: tl.constexpr = tile.rows
    patch_columns: tl.constexpr = tile.columns
    patch: tl.constexpr = tile.rows * tile.columns
    key_extent: tl.constexpr = tile.key_depth
    value_extent: tl.constexpr = tile.value_depth
    dtype: tl.constexpr = log_sum_exp.dtype.element_ty
    blocks: tl.constexpr = (tokens + block - 1) // block
    image = tl.program_id(0) // blocks
    queries = tl.program_id(0) % blocks * block + tl.arange(0, block)
    in_image = queries < tokens
    key_channels = tl.arange(0, key_extent)
    value_channels = tl.arange(0, value_extent)
    in_key_depth = key_channels < problem.key_depth
    in_value_depth = value_channels < problem.value_depth
    q = _of_head(q, q_strides, image, problem.heads)
    k = _of_head(k, k_strides, image, problem.heads)
    v = _of_head(v, v_strides, image, problem.heads)
    out = _of_head(out, out_strides, image, problem.heads)
    grad_out = _of_head(grad_out, grad_out_strides, image, problem.heads)
    grad_q = _of_head(grad_q, grad_q_strides, image, problem.heads)

    q_tile = _load(q, q_strides, queries, key_channels, in_image, in_key_depth)
    out_tile = _load(out, out_strides, queries, value_channels, in_image, in_value_depth)
    grad_out_tile = _load(
        grad_out, grad_out_strides, queries, value_channels, in_image, in_value_depth
    )
    row = image.to(tl.int64) * tokens + queries
    row_delta = tl.sum(grad_out_tile.to(dtype) * out_tile.to(dtype), 1)
    tl.store(delta + row, row_delta, mask=in_image)
    row_log_sum_exp = tl.load(log_sum_exp + row, mask=in_image, other=INFINITY)
    q_sum = tl.zeros((block, key_extent), dtype)
    for left in range(0, problem.width, patch_columns):
        columns = left + tl.arange(0, patch_columns)
        b_tile = _position_logits(
            b, image, queries, columns, tokens, problem.width, problem.has_positions, dtype
        )
        b_sum = tl.zeros((block, patch_columns), dtype)
        for top in range(0, problem.height, patch_rows):
            keys, inside = _keys(top, left, problem, tile)
            k_tile = _load_transposed(k, k_strides, keys, key_channels, inside, in_key_depth)
            v_tile = _load_transposed(v, v_strides, keys, value_channels, inside, in_value_depth)
            rows = top + tl.arange(0, patch_rows)
            a_tile = _position_logits(
                a, image, queries, rows, tokens, problem.height, problem.has_positions, dtype
            )
            logits = tl.dot(q_tile, k_tile, input_precision=problem.precision, out_dtype=dtype)
            logits = tl.reshape(logits, (block, patch_rows, patch_columns))
            logits += b_tile[:, None, :]
            shift = (a_tile - row_log_sum_exp[:, None]) * LOG2_E
            weights = tl.exp2(logits * LOG2_E + shift[:, :, None])
            grad_weights = tl.dot(
                grad_out_tile, v_tile, input_precision=problem.precision, out_dtype=dtype
            )
            grad_weights = tl.reshape(grad_weights, (block, patch_rows, patch_columns))
            grad_logits = weights * (grad_weights - row_delta[:, None, None])
            if problem.has_positions:
                a_sum = tl.sum(grad_logits, 2)
                _store_position_gradient(
                    grad_a, a_sum, image, queries, rows, tokens, problem.height, left > 0
                )
                b_sum += tl.sum(grad_logits, 1)
            grad_logits = tl.reshape(grad_logits, (block, patch))
            q_sum = tl.dot(
                grad_logits.to(k_tile.dtype),
                tl.trans(k_tile),
                q_sum,
                input_precision=problem.precision,
                out_dtype=dtype,
            )
        if problem.has_positions:
            _store_position_gradient(
                grad_b, b_sum, image, queries, columns, tokens, problem.width, False
            )
            if problem.width > patch_columns:
                tl.debug_barrier()  # the next strip adds to what other threads wrote to grad_a

    _store(grad_q, q_sum, grad_q_strides, queries, key_channels, in_image, in_key_depth)


@triton.jit
def key_gradients_kernel(
    q,
    k,
    v,
    a,
    b,
    log_sum_exp,
    delta,
    grad_out,
    grad_k,
    grad_v,
    q_strides: tl.constexpr,
    k_strides: tl.constexpr,
    v_strides: tl.constexpr,
    grad_out_strides: tl.constexpr,
    grad_k_strides: tl.constexpr,
    grad_v_strides: tl.constexpr,
    problem: tl.constexpr,
    tile: tl.constexpr,
):
    """One patch of keys: its gradients of k and v. Tiles are (keys, queries) here."""
    tokens: tl.constexpr = problem.height * problem.width
    block: tl.constexpr = tile.queries
    patch_rows: tl.constexpr = tile.rows
    patch_columns: tl.constexpr = tile.columns
    patch: tl.constexpr = tile.rows * tile.columns
    key_extent: tl.constexpr = tile.key_depth
    value_extent: tl.constexpr = tile.value_depth
    dtype: tl.constexpr = log_sum_exp.dtype.element_ty
    across: tl.constexpr = (problem.width + patch_columns - 1) // patch_columns
    patches: tl.constexpr = (problem.height + patch_rows - 1) // patch_rows * across
    image = tl.program_id(0) // patches
    top = tl.program_id(0) % patches // across * patch_rows
    left = tl.program_id(0) % across * patch_columns
    rows = top + tl.arange(0, patch_rows)
    columns = left + tl.arange(0, patch_columns)
    keys, inside = _keys(top, left, problem, tile)
    key_channels = tl.arange(0, key_extent)
    value_channels = tl.arange(0, value_extent)
    in_key_depth = key_channels < problem.key_depth
    in_value_depth = value_channels < problem.value_depth
    q = _of_head(q, q_strides, image, problem.heads)
    k = _of_head(k, k_strides, image, problem.heads)
    v = _of_head(v, v_strides, image, problem.heads)
    grad_out = _of_head(grad_out, grad_out_strides, image, problem.heads)
    grad_k = _of_head(grad_k, grad_k_strides, image, problem.heads)
    grad_v = _of_head(grad_v, grad_v_strides, image, problem.heads)

    k_tile = _load(k, k_strides, keys, key_channels, inside, in_key_depth)
    v_tile = _load(v, v_strides, keys, value_channels, inside, in_value_depth)
    k_sum = tl.zeros((patch, key_extent), dtype)
    v_sum = tl.zeros((patch, value_extent), dtype)
    for start in range(0, tokens, block):
        queries = start + tl.arange(0, block)
        in_image = queries < tokens
        q_tile = _load_transposed(q, q_strides, queries, key_channels, in_image, in_key_depth)
        grad_out_tile = _load_transposed(
            grad_out, grad_out_strides, queries, value_channels, in_image, in_value_depth
        )
        row = image.to(tl.int64) * tokens + queries
        row_log_sum_exp = tl.load(log_sum_exp + row, mask=in_image, other=INFINITY)
        row_delta = tl.load(delta + row, mask=in_image, other=0.0)
        a_tile = tl.trans(
            _position_logits(
                a, image, queries, rows, tokens, problem.height, problem.has_positions, dtype
            )
        )
        b_tile = tl.trans(
            _position_logits(
                b, image, queries, columns, tokens, problem.width, problem.has_positions, dtype
            )
        )
        logits = tl.dot(k_tile, q_tile, input_precision=problem.precision, out_dtype=dtype)
        logits = tl.reshape(logits, (patch_rows, patch_columns, block))
        logits += b_tile[None, :, :]
        shift = (a_tile - row_log_sum_exp[None, :]) * LOG2_E
        weights = tl.exp2(logits * LOG2_E + shift[:, None, :])
        weights = tl.reshape(weights, (patch, block))
        v_sum = tl.dot(
            weights.to(grad_out_tile.dtype),
            tl.trans(grad_out_tile),
            v_sum,
            input_precision=problem.precision,
            out_dtype=dtype,
        )
        grad_weights = tl.dot(
            v_tile, grad_out_tile, input_precision=problem.precision, out_dtype=dtype
        )
        grad_logits = weights * (grad_weights - row_delta[None, :])
        k_sum = tl.dot(
            grad_logits.to(q_tile.dtype),
            tl.trans(q_tile),
            k_sum,
            input_precision=problem.precision,
            out_dtype=dtype,
        )

    _store(grad_k, k_sum, grad_k_strides, keys, key_channels, inside, in_key_depth)
    _store(grad_v, v_sum, grad_v_strides, keys, value_channels, inside, in_value_depth)


@triton.jit
def _line_logits(q, table, logits, strides, line, length, start, step, count, problem, tile, dtype):
    """The logits of the queries at position ``line`` of ``length``: start, start + step, ….

    Their key at position j is j - line away, which is the table's row length-1-line + j.
    """
    channels = tl.arange(0, tile.key_depth)
    in_depth = channels < problem.key_depth
    for along in range(0, count, tile.queries):
        steps = along + tl.arange(0, tile.queries)
        queries = start + steps * step
        in_line = steps < count
        q_tile = _load(q, strides, queries, channels, in_line, in_depth)
        for across in range(0, length, tile.columns):
            index = across + tl.arange(0, tile.columns)
            in_table = index < length
            table_tile = tl.load(
                table
                + (length - 1 - line + index)[None, :] * problem.key_depth
                + channels[:, None],
                mask=in_depth[:, None] & in_table[None, :],
                other=0.0,
            )
            products = tl.dot(
                q_tile, table_tile, input_precision=problem.precision, out_dtype=dtype
            )
            tl.store(
                logits + queries[:, None] * length + index[None, :],
                products.to(logits.dtype.element_ty),
                mask=in_line[:, None] & in_table[None, :],
            )


@triton.jit
def position_logits_kernel(
    q,
    height_table,
    width_table,
    a,
    b,
    lines: tl.constexpr,
    q_strides: tl.constexpr,
    problem: tl.constexpr,
    tile: tl.constexpr,
):
    """Compute a for a few image rows of queries, or b for a few image columns of them.

    The queries of one image row iy all want the rows H-1-iy to 2H-2-iy of the height table, so
    their a is one product with a slice of it; likewise b for an image column. Neighbouring columns
    share a program, because their queries share the memory sectors that it reads.
    """
    height: tl.constexpr = problem.height
    width: tl.constexpr = problem.width
    dtype: tl.constexpr = tl.float64 if q.dtype.element_ty == tl.float64 else tl.float32
    row_groups: tl.constexpr = (height + lines - 1) // lines
    groups: tl.constexpr = row_groups + (width + lines - 1) // lines
    image = tl.program_id(0) // groups
    group = tl.program_id(0) % groups
    q = _of_head(q, q_strides, image, problem.heads)
    a += image.to(tl.int64) * (height * width) * height
    b += image.to(tl.int64) * (height * width) * width
    if group < row_groups:
        for line in range(0, lines):
            y = group * lines + line
            if y < height:
                _line_logits(
                    q, height_table, a, q_strides, y, height, y * width, 1, width,
                    problem, tile, dtype,
                )  # fmt: skip
    else:
        for line in range(0, lines):
            x = (group - row_groups) * lines + line
            if x < width:
                _line_logits(
                    q, width_table, b, q_strides, x, width, x, width, height,
                    problem, tile, dtype,
                )  # fmt: skip
