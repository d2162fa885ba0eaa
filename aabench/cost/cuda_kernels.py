"""Which kernel each form gets on a card that is not there, by the rule tables of the forms."""

from __future__ import annotations

import numpy as np

from aabench.cases.card import Capability
from aabench.cases.ceilings import RATE_OF
from aabench.cases.fused_kernels import KERNELS, FusedCase, choose_kernel
from aabench.cost.attention import Attention
from aabench.cost.columns import Column, Labels, LayerColumns
from aabench.cost.distinct import distinct
from aabench.cost.rounding import parts_of
from aabench.cost.shapes import WITH_TABLES
from aabench.errors import UnsupportedCase

NO_KERNEL = ""
"""Where there is no attention, the form runs no kernel that is known here, or nothing takes the case."""

CUDNN = 91501
"""The version of cuDNN that is assumed: the first that ``choose_kernel`` takes attention from."""

DATA_TYPES = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""The data type of products in each format."""

MATMUL = "matmul"
PRODUCTS = frozenset({"materialized", "broadcast", "blocked"})
"""The forms that multiply for themselves."""

TRITON_FROM: Capability = (8, 0)
"""Architectures older than this run no Triton kernels of ours."""


def cuda_kernels(layers: LayerColumns, capability: Capability) -> tuple[Labels, dict[int, str]]:
    """The kernel of every case on a card, and why some have none.

    Args:
        layers: resolved cases.
        capability: of the card.

    Returns:
        Names of the column ``kernel``; and by row a sentence on why the form cannot run there.
    """
    step = layers.stride * layers.downsample
    sides = parts_of(layers.height, step) + parts_of(layers.width, step)
    deciding = [
        layers.attention.codes,
        layers.precision.codes,
        layers.mode.codes,
        layers.position.codes,
        layers.dk // layers.heads,
        layers.dv // layers.heads,
        sides,
    ]
    first, kind = distinct(deciding)
    answers = [_kernel(layers, int(row), int(sides[row]), capability) for row in first]
    names = tuple(dict.fromkeys(name for name, _ in answers))
    codes = np.array([names.index(name) for name, _ in answers], np.int16)
    refusals = {
        int(row): reason
        for number, (_, reason) in enumerate(answers)
        if reason is not None
        for row in np.flatnonzero(kind == number)
    }
    return Labels(codes[kind], names), refusals


def _kernel(
    layers: LayerColumns, row: int, sides: int, capability: Capability
) -> tuple[str, str | None]:
    """The kernel's name, or none and a sentence on why not."""
    form, has_tables = layers.attention.at(row), layers.position.at(row) in WITH_TABLES
    if layers.dv[row] == 0:
        return NO_KERNEL, None
    if form in PRODUCTS:
        return MATMUL, None
    heads = int(layers.heads[row])
    case = FusedCase(
        device_type="cuda",
        data_type=DATA_TYPES[RATE_OF[layers.precision.at(row)]],
        training=layers.mode.at(row) != "infer",
        key_depth=int(layers.dk[row]) // heads,
        value_depth=int(layers.dv[row]) // heads,
        sides=sides if has_tables and form == "factored" else 0,
        capability=capability,
        cudnn=CUDNN,
    )
    if form == "factored":
        return _chosen(case, None)
    if form == "sdpa-bias":
        # Flash attention takes no mask at all, and cuDNN's none that trains. Without one, this form
        # does not pad v to the depth of q and k, which flash attention wants.
        name, reason = _chosen(case, "memory-efficient" if has_tables else None)
        differ = case.key_depth != case.value_depth
        return ("memory-efficient" if name == "flash" and differ else name), reason
    if form == "triton" and capability < TRITON_FROM:
        return NO_KERNEL, "triton: its kernels want sm80 or newer"
    return {"triton": "triton", "flex": "inductor"}.get(form, NO_KERNEL), None


def fused_depths(attention: Attention) -> tuple[Column, Column]:
    """E of q and k, and the depth of v, as the kernel that `factored` gets on a card wants them.

    Cases that no kernel takes are padded like those of the last one: they cannot run.
    """
    execution = attention.execution
    sides = (attention.height + attention.width) * int(attention.has_tables)
    depths = (attention.key_depth, attention.value_depth, sides)
    first, kind = distinct(depths)
    padded = []
    for row in first:
        key_depth, value_depth, length = (int(column[row]) for column in depths)
        case = FusedCase(
            device_type="cuda",
            data_type=DATA_TYPES[RATE_OF[execution.precision]],
            training=attention.trains,
            key_depth=key_depth,
            value_depth=value_depth,
            sides=length,
            capability=execution.capability,
            cudnn=CUDNN,
        )
        try:
            kernel = choose_kernel(case)
        except UnsupportedCase:
            kernel = KERNELS["cuda"][-1]
        padded.append(kernel.depths(case))
    keys, values = np.array(padded).T
    return keys[kind], values[kind]


def _chosen(case: FusedCase, named: str | None) -> tuple[str, str | None]:
    try:
        return choose_kernel(case, named).name, None
    except UnsupportedCase as error:
        return NO_KERNEL, error.reason
