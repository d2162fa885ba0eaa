"""Made-up results for the tests of the reports: plausible figures, every status, no measuring."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from aabench.cases.columns import COLUMN_NAMES

QUICK_CSV = Path(__file__).parent / "data" / "quick.csv"

MAPS = {"materialized": 5.0, "broadcast": 3.0, "sdpa-bias": 1.5}
"""Attention maps that each form is taken to keep."""


def quick_frame() -> pd.DataFrame:
    """The checked-in run: 256 channels, two resolutions, three numbers of heads, three forms."""
    frame = pd.read_csv(QUICK_CSV)
    frame.attrs = {
        "name": "quick",
        "folder": "results/quick-1a2b3c4d",
        "device": "Intel Xeon 2.2 GHz",
        "environment": {"torch": "2.15.0"},
        "complete": True,
        "wall_s": 112.3,
    }
    return frame


def sweep_frame(
    resolutions: Sequence[int] = (14, 28, 56),
    heads: Sequence[int] = (2, 8),
    forms: Sequence[str] = tuple(MAPS),
    modes: Sequence[str] = ("infer", "train"),
    batches: Sequence[int] = (1,),
    wall_bytes: float = 2e9,
) -> pd.DataFrame:
    """A sweep over a layer of 256 channels; what needs more than ``wall_bytes`` is ``oom``."""
    points = itertools.product(heads, resolutions, batches, modes, forms)
    rows = [_row(*point, wall_bytes=wall_bytes) for point in points]
    return pd.DataFrame(rows, columns=list(COLUMN_NAMES))


def _row(
    heads: int, side: int, batch: int, mode: str, form: str, wall_bytes: float
) -> dict[str, object]:
    tokens = side * side
    passes = 3 if mode == "train" else 1
    conv_flops = 2 * batch * tokens * 9 * 256 * 256 * passes
    maps = int(4 * MAPS[form] * batch * heads * tokens**2 * (1 if mode == "infer" else 1.4))
    flops = int(2 * batch * passes * (tokens * 9 * 256 * 192 + tokens * 49152 + tokens**2 * 128))
    base = 2_400_000 * passes + batch * tokens * 1024
    row: dict[str, object] = {
        "in_channels": 256,
        "out_channels": 256,
        "kernel_size": 3,
        "stride": 1,
        "downsample": 1,
        "heads": heads,
        "dk": 64,
        "dv": 64,
        "kappa": 0.25,
        "upsilon": 0.25,
        "position": "relative",
        "height": side,
        "width": side,
        "tokens": tokens,
        "batch": batch,
        "mode": mode,
        "precision": "fp32",
        "attention": form,
        "compile": False,
        "memory_format": "contiguous",
        "optimizer": "sgd-momentum" if mode == "train" else None,
        "device": "cpu",
        "key": f"k{heads}{side}{batch}{mode}{form}",
        "predicted_peak_bytes": base + maps,
    }
    if maps > wall_bytes:
        asked = maps // 5
        reason = f"asked for {asked / 2**30:.1f} GiB with 0.9 GiB free of 4.0 GiB"
        return row | {"status": "oom", "reason": reason, "requested_bytes": asked}
    latency = flops / 3e10 + maps / 6e9
    conv_latency = conv_flops / 6e10
    peak = base + maps
    return row | {
        "status": "ok",
        "params": 442_368 + 49_152 + 4_096,
        "macs": flops // 2,
        "flops": flops,
        "flops_forward": flops // passes,
        "peak_allocated_bytes": peak,
        "base_bytes": base,
        "step_peak_bytes": maps,
        "latency_median_s": latency,
        "latency_ci_low_s": latency * 0.985,
        "latency_ci_high_s": latency * 1.015,
        "latency_iqr_s": latency * 0.05,
        "samples": 40,
        "rounds": 2,
        "conv_latency_median_s": conv_latency,
        "conv_peak_allocated_bytes": base,
        "conv_flops": conv_flops,
        "latency_ratio": latency / conv_latency,
        "peak_ratio": peak / base,
        "flops_ratio": flops / conv_flops,
    }


def every_status() -> pd.DataFrame:
    """One case per status, with the reasons, warnings and notes that such rows carry."""
    frame = sweep_frame(heads=(2,), modes=("infer",), wall_bytes=np.inf)
    outcomes = {
        "ok": None,
        "predicted": None,
        "oom": "asked for 6.2 GiB with 0.9 GiB free of 4.0 GiB",
        "unsupported": "sdpa-bias: the mask needs a gradient that this kernel does not give",
        "invalid": "3 heads do not divide dk = 32; allowed: 30 or 33",
        "wrong": "relative error 3.1e-2 against the reference; allowed: 1.0e-5",
        "timeout": "not finished after 600 s; allowed: --timeout 600",
        "crashed": "RuntimeError: [enforce fail] \x1b[31mbad\x1b[0m\nTraceback:\n  line 3 | here",
        "skipped": "predicted to need 9,123,456,789 bytes, more than 80% of 4,000,000,000 bytes",
    }
    frame["status"] = list(outcomes)
    frame["reason"] = list(outcomes.values())
    unmeasured = ~frame["status"].isin(["ok"])
    measured = [
        name
        for name in frame.columns
        if name.startswith(("latency_", "peak_", "conv_")) or name.endswith("_ratio")
    ]
    frame.loc[unmeasured, measured] = np.nan
    frame = frame.astype({"warnings": object, "notes": object})
    frame.loc[0, "warnings"] = (
        "the spread is 14 % of the median — --seconds-per-case 5 | only 6 samples — --rounds 4"
    )
    frame.loc[0, "notes"] = "dk raised from 48 to 64 by the floor of 20 per head"
    return frame
