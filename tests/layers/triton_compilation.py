"""Compile the kernels of the form `triton` for cards that are not there; print, as JSON, what came out.

A process of its own, because it puts in a driver that has a target but no device. The form runs on
CPU tensors as far as its launches, which compile and do not launch: so the code is that of the real
arguments, specialised as on a card.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from random_attention import random_inputs
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from aabench.layers.attention import triton as form

# name: data type, (H, W), dk/Nh, dv/Nh, with tables, TF32 products
CASES = {
    "bf16 32x32": (torch.bfloat16, (32, 32), 20, 2, True, False),
    "fp16 14x14 no positions": (torch.float16, (14, 14), 20, 2, False, False),
    "bf16 deep": (torch.bfloat16, (8, 8), 128, 128, True, False),
    "fp32 32x32": (torch.float32, (32, 32), 20, 2, True, False),
    "tf32 14x14": (torch.float32, (14, 14), 20, 2, True, True),
    "fp64 8x8": (torch.float64, (8, 8), 20, 2, True, False),
}
CASES_OF_CAPABILITY = {80: ["bf16 32x32"], 90: list(CASES)}


class DriverWithoutDevice:
    """As much of a driver as compilation asks for."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return self.capability  # kernels are cached by device

    def get_current_stream(self, device: int) -> int:
        return 0


def described(kernel, warps: int) -> dict[str, object]:
    ptx = kernel.asm["ptx"]
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        Path(cubin.name).write_bytes(kernel.asm["cubin"])
        usage = subprocess.run(
            [triton.knobs.nvidia.cuobjdump.path, "-res-usage", cubin.name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", usage).groups()
    return {
        "target": re.search(r"\.target (\w+)", ptx).group(1),
        "warps": warps,
        "shared bytes": kernel.metadata.shared,
        "registers": int(registers),
        "spilled bytes": int(stack),
        "tensor cores": bool(re.search(r"wgmma\.mma_async|mma\.sync", ptx)),
        "atomics": bool(re.search(r"\b(atom|red)\.(global|gpu|relaxed|async)", ptx)),
    }


def main() -> None:
    compiled: dict[str, object] = {}
    original = JITFunction.run

    def compile_only(self, *args, grid, warmup, **options):
        kernel = original(self, *args, grid=grid, warmup=True, **options)
        compiled[self.fn.__name__] = described(kernel, options["num_warps"])

    JITFunction.run = compile_only
    form._check = lambda q, k, v, *, interpreted: None
    problem_of = form._problem
    results = {}
    for capability in map(int, sys.argv[1:]):
        triton.runtime.driver.set_active(DriverWithoutDevice(capability))
        for name in CASES_OF_CAPABILITY[capability]:
            dtype, resolution, key_depth, value_depth, tables, tf32 = CASES[name]
            precision = "tf32" if tf32 else "ieee"
            form._problem = lambda *args, precision=precision, **options: problem_of(
                *args, **options
            )._replace(precision=precision)
            inputs = random_inputs(
                1, 8, resolution, key_depth, value_depth, tables=tables, dtype=dtype,
                requires_grad=True,
            )  # fmt: skip
            out = form.attend(*inputs)
            out.backward(torch.zeros_like(out))
            results[f"sm{capability} {name}"], compiled = compiled, {}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
