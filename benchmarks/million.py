"""A million layer cases predicted: seconds and peak memory of the process, beside other tools.

Other tools look at one case at a time, and run or trace it: fvcore counts its multiply-accumulates,
torch's MemTracker follows its memory on fake tensors. Both are timed on single cases in this run.

Run with ``python benchmarks/million.py``; prints a Markdown table.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

GRID: dict[str, Any] = {
    "in_channels": "64,256",
    "out_channels": "64,128,256",
    "kernel_size": "1,3",
    "stride": "1,2",
    "heads": "1,2,4,8",
    "dk": "16:160:16",
    "dv": "8,16,32,64",
    "resolution": "7,14,28,32,56",
    "batch": "1,8,32",
    "mode": "infer,train",
    "precision": "fp32,bf16",
    "attention": "materialized,broadcast,sdpa-bias,factored,blocked",
}
"""1 152 000 cases."""

SMALL_CASES = 5


def predicted() -> tuple[int, float, float]:
    """Rows of the grid's table, seconds that it takes, and the process' peak in bytes."""
    from aabench.runs.predicting import predict

    start = time.perf_counter()
    frame = predict(**GRID)
    seconds = time.perf_counter() - start
    # Linux counts in KiB.
    return len(frame), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fvcore_seconds() -> float:
    """Median seconds in which fvcore counts one case."""
    import torch
    from fvcore.nn import FlopCountAnalysis

    layer = _layer()
    x = torch.ones(1, 64, 28, 28)

    def count() -> None:
        analysis = FlopCountAnalysis(layer, x)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()

    return _median_seconds(count)


def mem_tracker_seconds() -> float:
    """Median seconds in which torch's MemTracker follows one training step on fake tensors."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    def follow() -> None:
        with FakeTensorMode():
            layer = _layer()
            optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3, momentum=0.9)
            x = torch.ones(1, 64, 28, 28, requires_grad=True)
            tracker = MemTracker()
            tracker.track_external(layer, optimizer)
            with tracker:
                layer(x).sum().backward()
                optimizer.step()

    return _median_seconds(follow)


def _layer() -> nn.Module:
    from aabench.layers.augmented_convolution import AugmentedConv2d

    return AugmentedConv2d(64, 64, dk=32, dv=16, heads=4, resolution=28, attention="broadcast")


def _median_seconds(call: Callable[[], object]) -> float:
    call()
    samples = []
    for _ in range(SMALL_CASES):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def main() -> None:
    """Measure, each in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only-ours", action="store_true", help="do not time the other tools")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        print(*predicted())
        return
    command = [sys.executable, __file__, "--alone"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    rows, seconds, peak = int(found[0]), float(found[1]), float(found[2])
    each = seconds / rows
    lines = [
        "| tool | cases | seconds | seconds a case | times ours | peak of the process |",
        "|---|---:|---:|---:|---:|---:|",
        f"| aabench.predict | {rows:,} | {seconds:.2f} | {each:.2e} | 1 | {peak / 2**20:.0f} MiB |",
    ]
    if not asked.only_ours:
        for name, one in (
            ("fvcore, MACs only", fvcore_seconds()),
            ("MemTracker, memory only", mem_tracker_seconds()),
        ):
            lines.append(f"| {name} | 1 | {one:.3f} | {one:.2e} | {one / each:,.0f} | |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
