"""The form `triton`: one fused kernel forward and two backward, no N x N map, deterministic.

The position logits a (N, H) and b (N, W) are computed first, by a small kernel of their own; their
gradients go back to q and the tables by torch's products.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from aabench.errors import UnsupportedCase
from aabench.layers.attention.triton_tiles import (
    Launch,
    Launches,
    Problem,
    check_depths,
    choose_launches,
    choose_position_launch,
    key_patches,
    line_groups,
    query_blocks,
)
from aabench.layers.positions.toeplitz import row_column_logits

if TYPE_CHECKING:
    from types import ModuleType

FORM = "triton"

OLDEST_CAPABILITY = (8, 0)
"""Ampere: older cards lack the asynchronous copies and the bfloat16 products."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

LINES_A_PROGRAM = 8
"""Image rows or columns whose a or b one program computes."""


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    """softmax(q k^T + a[:, jy] + b[:, jx]) v, tile by tile in one kernel.

    float16 and bfloat16 products run on tensor cores and are summed in float32; float32 products
    are IEEE ones, or TF32 ones where ``torch.backends.cuda.matmul`` allows that. The output has
    v's order of dimensions in memory. ``torch.compile`` breaks its graph here.

    Args:
        q: (B, Nh, N, dk/Nh), scaled, of any strides, as k and v.
        k: (B, Nh, N, dk/Nh).
        v: (B, Nh, N, dv/Nh).
        tables: None, or (2H-1, dk/Nh) and (2W-1, dk/Nh); cast to q's data type.
        resolution: (H, W), with N = H * W.

    Returns:
        (B, Nh, N, dv/Nh).

    Raises:
        UnsupportedCase: no Triton, no NVIDIA card of compute capability 8.0 or newer, a data type
            that is no float, mixed data types, fake tensors, dk/Nh or dv/Nh above 256. On the CPU
            it runs only in Triton's interpreter (``TRITON_INTERPRET=1``), not in bfloat16.
    """
    return _untraced(q, k, v, tables, resolution)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tables: tuple[Tensor, Tensor] | None,
    resolution: tuple[int, int],
) -> Tensor:
    _check(q, k, v, interpreted=_interpreted(_kernels()))
    problem = _problem(q, v, resolution, has_positions=tables is not None)
    check_depths(FORM, problem)
    a = b = None
    if tables is not None:
        height, width = (table.to(q.dtype).contiguous() for table in tables)
        a, b = _PositionLogits.apply(q, height, width, problem)
    out: Tensor = _TritonAttention.apply(q, k, v, a, b, problem)
    return out


_untraced: Callable[..., Tensor] = torch.compiler.disable(_attend)


class _PositionLogits(torch.autograd.Function):
    """a (B, Nh, N, H) and b (B, Nh, N, W), contiguous and of q's data type."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, height: Tensor, width: Tensor, problem: Problem
    ) -> tuple[Tensor, Tensor]:
        a = q.new_empty((*q.shape[:3], problem.height))
        b = q.new_empty((*q.shape[:3], problem.width))
        launch = choose_position_launch(problem, q.element_size())
        _launch(
            _kernels().position_logits_kernel,
            q.shape[0] * q.shape[1] * line_groups(problem, LINES_A_PROGRAM),
            launch,
            (q, height, width, a, b),
            (LINES_A_PROGRAM, q.stride(), problem, launch.tile),
        )
        ctx.save_for_backward(q, height, width)
        ctx.resolution = (problem.height, problem.width)
        return a, b

    @staticmethod
    def backward(ctx: Any, grad_a: Tensor, grad_b: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once only: checkpointing recomputes what is read
        needed = ctx.needs_input_grad[:3]
        gradients = _position_gradients(grad_a, grad_b, needed, ctx.resolution, saved)
        return (*_once(gradients, grad_a, grad_b, *saved), None)


def _position_gradients(
    grad_a: Tensor,
    grad_b: Tensor,
    needed: Sequence[bool],
    resolution: tuple[int, int],
    saved: Sequence[Tensor],
) -> list[Tensor | None]:
    """The gradients of q and both tables, by torch's products: their sums are deterministic."""
    with torch.enable_grad(), torch.autocast(grad_a.device.type, enabled=False):
        inputs = [
            tensor.detach().requires_grad_(is_needed)
            for tensor, is_needed in zip(saved, needed, strict=True)
        ]
        q, height, width = inputs
        a, b = row_column_logits(q, (height, width), resolution)
        computed = iter(
            torch.autograd.grad(
                (a, b),
                [tensor for tensor in inputs if tensor.requires_grad],
                (grad_a.detach(), grad_b.detach()),
                materialize_grads=True,
            )
        )
    return [next(computed) if is_needed else None for is_needed in needed]


class _TritonAttention(torch.autograd.Function):
    """softmax(q k^T + a[:, jy] + b[:, jx]) v; keeps the output and a log-sum-exp a query.

    Profilers show it by its name, while the kernels that it launches are no operators of torch.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 -- autograd passes by position
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        a: Tensor | None,
        b: Tensor | None,
        problem: Problem,
    ) -> Tensor:
        launch = choose_launches(problem, q.element_size()).forward
        out = torch.empty_like(v)
        log_sum_exp = q.new_empty(q.shape[:3], dtype=_sum_dtype(q))
        _launch(
            _kernels().forward_kernel,
            q.shape[0] * q.shape[1] * query_blocks(problem, launch.tile),
            launch,
            (q, k, v, a, b, out, log_sum_exp),
            (*_strides(q, k, v, out), problem, launch.tile),
        )
        ctx.save_for_backward(q, k, v, a, b, out, log_sum_exp)
        ctx.problem = problem
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        saved = _Saved(*ctx.saved_tensors)
        with torch.no_grad():
            gradients = _gradients(grad_out, ctx.problem, saved)
        return (*_once(gradients, grad_out, *saved), None)


class _Once(torch.autograd.Function):
    """A gradient that refuses, by name, to be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *sources: Tensor | None) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise UnsupportedCase(
            FORM, "it has no second derivatives; attention='broadcast' can differentiate a gradient"
        )


def _once(gradients: Sequence[Tensor | None], *sources: Tensor | None) -> Sequence[Tensor | None]:
    """The gradients, tied to what they depend on where ``create_graph`` asks for that."""
    if not torch.is_grad_enabled():
        return gradients
    return [None if gradient is None else _Once.apply(gradient, *sources) for gradient in gradients]


class _Saved(NamedTuple):
    """What the backward pass recomputes the maps from."""

    q: Tensor
    k: Tensor
    v: Tensor
    a: Tensor | None
    b: Tensor | None
    out: Tensor
    log_sum_exp: Tensor


def _gradients(grad_out: Tensor, problem: Problem, saved: _Saved) -> tuple[Tensor | None, ...]:
    """The gradients of q, k, v, a and b."""
    q, k, v, a, b, out, log_sum_exp = saved
    launches = choose_launches(problem, q.element_size())
    grad_q, grad_k, grad_v = (torch.empty_like(tensor) for tensor in (q, k, v))
    grad_a = grad_b = None
    if a is not None and b is not None:
        grad_a = torch.empty_like(a, dtype=_row_gradient_dtype(a, problem, launches))
        grad_b = torch.empty_like(b)
    delta = torch.empty_like(log_sum_exp)
    heads = q.shape[0] * q.shape[1]
    # First the queries' kernel: it writes delta, which the keys' kernel reads.
    launch = launches.query_gradients
    _launch(
        _kernels().query_gradients_kernel,
        heads * query_blocks(problem, launch.tile),
        launch,
        (q, k, v, a, b, out, log_sum_exp, grad_out, grad_q, grad_a, grad_b, delta),
        (*_strides(q, k, v, out, grad_out, grad_q), problem, launch.tile),
    )
    launch = launches.key_gradients
    _launch(
        _kernels().key_gradients_kernel,
        heads * key_patches(problem, launch.tile),
        launch,
        (q, k, v, a, b, log_sum_exp, delta, grad_out, grad_k, grad_v),
        (*_strides(q, k, v, grad_out, grad_k, grad_v), problem, launch.tile),
    )
    return grad_q, grad_k, grad_v, None if grad_a is None else grad_a.to(q.dtype), grad_b


def _launch(
    kernel: Any,
    programs: int,
    launch: Launch,
    tensors: tuple[Tensor | None, ...],
    constants: tuple[object, ...],
) -> None:
    """Run a kernel on the device of its first tensor.

    Raises:
        UnsupportedCase: the card has less shared memory or fewer registers than the tile takes.
    """
    from triton.runtime.errors import OutOfResources

    with torch.cuda.device_of(tensors[0]):
        try:
            kernel[(programs,)](
                *tensors,
                *constants,
                num_warps=launch.warps,
                num_stages=launch.stages,
                enable_fp_fusion=True,
            )
        except OutOfResources as error:
            raise UnsupportedCase(FORM, f"{launch.tile} does not fit this card: {error}") from error


def _kernels() -> ModuleType:
    """The kernels' module, imported when first needed: nothing else wants Triton.

    Raises:
        UnsupportedCase: Triton is not installed.
    """
    if importlib.util.find_spec("triton") is None:
        raise UnsupportedCase(FORM, "Triton is not installed; it comes with torch's CUDA builds")
    from aabench.layers.attention import triton_kernels

    return triton_kernels


def _interpreted(kernels: ModuleType) -> bool:
    """Whether the kernels run in Triton's interpreter, on the CPU."""
    from triton import JITFunction

    return not isinstance(kernels.forward_kernel, JITFunction)


def _check(q: Tensor, k: Tensor, v: Tensor, *, interpreted: bool) -> None:
    """Refuse what the kernels cannot run, by name."""
    if isinstance(q, FakeTensor):
        raise UnsupportedCase(FORM, "kernels cannot run on fake tensors")
    if not q.dtype == k.dtype == v.dtype:
        raise UnsupportedCase(
            FORM, f"q, k and v must have one data type, got {q.dtype}, {k.dtype} and {v.dtype}"
        )
    if q.dtype not in DTYPES:
        raise UnsupportedCase(FORM, f"the data type must be one of {DTYPES}, got {q.dtype}")
    if interpreted:
        if q.dtype == torch.bfloat16:
            raise UnsupportedCase(FORM, "Triton's interpreter does not compute in bfloat16")
        return
    if q.device.type != "cuda" or torch.version.hip is not None:
        raise UnsupportedCase(
            FORM,
            f"it needs an NVIDIA card, got device {q.device}; without one it runs in Triton's "
            "interpreter alone, with TRITON_INTERPRET=1 in the environment",
        )
    capability = torch.cuda.get_device_capability(q.device)
    if capability < OLDEST_CAPABILITY:
        raise UnsupportedCase(
            FORM, f"it needs compute capability 8.0 or newer, got {capability[0]}.{capability[1]}"
        )


def _problem(q: Tensor, v: Tensor, resolution: tuple[int, int], *, has_positions: bool) -> Problem:
    height, width = resolution
    tf32 = q.device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return Problem(
        heads=q.shape[1],
        height=height,
        width=width,
        key_depth=q.shape[3],
        value_depth=v.shape[3],
        has_positions=has_positions,
        precision="tf32" if tf32 and q.dtype == torch.float32 else "ieee",
    )


def _strides(*tensors: Tensor) -> list[tuple[int, ...]]:
    """The strides (batch, head, position, channel) of every tensor."""
    return [tensor.stride() for tensor in tensors]


def _sum_dtype(q: Tensor) -> torch.dtype:
    """The data type in which products are summed and logits are held."""
    return torch.float64 if q.dtype == torch.float64 else torch.float32


def _row_gradient_dtype(a: Tensor, problem: Problem, launches: Launches) -> torch.dtype:
    """The data type in which a's gradient is gathered: a wide image adds to it strip by strip."""
    one_strip = problem.width <= launches.query_gradients.tile.columns
    return a.dtype if one_strip else _sum_dtype(a)
