"""Results for the tests in a browser: two forms over three sizes, measured, with cases that failed."""

from __future__ import annotations

import numpy as np
import pandas as pd

import aabench

NOISE = 0.04
"""By how much measured figures are off the predicted ones, at most."""


def measured_frame(name: str = "a run") -> pd.DataFrame:
    """72 rows as if measured on a card; materialized attention ran out of memory at the largest size."""
    frame = aabench.predict(
        in_channels=256, out_channels=256, heads=[2, 4, 8], kappa=["0.25", "0.5"], upsilon="0.25",
        resolution=[14, 28, 56], batch=[1, 64], mode="train", gpu="t4-16gb",
        attention=["materialized", "blocked"],
    )  # fmt: skip
    for column in frame.select_dtypes("category"):
        frame[column] = frame[column].astype(object)
    off = 1 + NOISE * np.sin(np.arange(len(frame)))
    frame["status"] = "ok"
    frame["peak_allocated_bytes"] = (frame["predicted_peak_bytes"].astype(float) * off).round()
    frame["latency_median_s"] = frame["predicted_latency_s"] * off
    frame["latency_ci_low_s"] = 0.98 * frame["latency_median_s"]
    frame["latency_ci_high_s"] = 1.02 * frame["latency_median_s"]
    failed = frame["peak_allocated_bytes"] > 30 * 2**30
    assert failed.any()
    measured = [column for column in frame if column.startswith(("peak_allo", "latency_"))]
    frame.loc[failed, measured] = np.nan
    frame.loc[failed, "status"] = "oom"
    frame["reason"] = frame["reason"].astype(object)
    frame.loc[failed, "reason"] = "asked for <9 GiB> with 0.9 GiB free of 14.6 GiB"
    frame.attrs = {"name": name, "folder": f"results/{name}", "device": "a card", "problems": []}
    return frame
