"""The columns of a results table: names, units and meanings, in the order of the CSV.

This is the stable schema: a column may be added, never renamed or given another meaning without
a new ``SCHEMA_VERSION``.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1

STATUSES = {
    "ok": "measured",
    "predicted": "not run, because only a prediction was asked for",
    "oom": "ran out of memory",
    "unsupported": "this attention form cannot run this case here",
    "invalid": "no such layer: the axis values contradict each other",
    "wrong": "the result disagrees with the reference, so it was not timed",
    "timeout": "did not finish within --timeout",
    "crashed": "the worker died or the code raised",
    "skipped": "predicted not to fit this machine, so it was not run",
}
"""Every value of the column ``status`` and its meaning."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, the unit of its values ("" for none), its group and its meaning."""

    name: str
    unit: str
    group: str
    meaning: str


def _group(group: str, *columns: tuple[str, str, str]) -> list[Column]:
    return [Column(name, unit, group, meaning) for name, unit, meaning in columns]


COLUMNS: tuple[Column, ...] = (
    *_group(
        "outcome",
        ("status", "", "what became of the case: " + ", ".join(STATUSES)),
        ("reason", "", "why it is not ok, with the value got and the values allowed"),
        ("notes", "", "what was rounded, raised or resolved on the way to this case"),
        ("warnings", "", "what makes the figures doubtful, with a remedy each"),
    ),
    *_group(
        "case",
        ("in_channels", "channels", "input channels, Fin"),
        ("out_channels", "channels", "output channels, Fout"),
        ("kernel_size", "pixels", "side of the convolution's kernel"),
        ("stride", "pixels", "stride of the layer"),
        ("downsample", "", "further pooling of the attention's input, undone on its output"),
        ("heads", "", "attention heads, Nh"),
        ("dk", "channels", "key depth of all heads together"),
        ("dv", "channels", "value depth of all heads together"),
        ("kappa", "", "dk / Fout as asked for; empty where dk was given"),
        ("upsilon", "", "dv / Fout as asked for; empty where dv was given"),
        ("position", "", "position encoding"),
        ("height", "pixels", "height of the layer's input"),
        ("width", "pixels", "width of the layer's input"),
        ("tokens", "pixels", "positions that attend to each other, N = H' * W'"),
        ("batch", "images", "images per step"),
        ("mode", "", "infer: forward; forward-backward; train: that and the optimiser step"),
        ("precision", "", "number format"),
        ("attention", "", "attention form that ran; none for the plain convolution"),
        ("compile", "", "whether torch.compile wrapped the layer"),
        ("memory_format", "", "layout of input and weights"),
        ("optimizer", "", "optimiser of a train step"),
        ("device", "", "device the case ran on"),
        ("key", "", "content hash of the case; equal cases are measured once and share it"),
    ),
    *_group(
        "counts",
        ("params", "", "parameters of the layer"),
        ("macs", "MAC", "multiply-accumulates of one step as its form executes it"),
        ("flops", "FLOP", "2 * macs"),
        ("flops_forward", "FLOP", "forward pass of one step, independent of the form"),
        (
            "traced_macs",
            "MAC",
            "forward MACs counted by torch's FlopCounterMode on the meta device",
        ),
        ("counts_remark", "", "where closed form and trace disagree, by how much"),
    ),
    *_group(
        "memory",
        ("predicted_peak_bytes", "bytes", "predicted peak_allocated_bytes"),
        (
            "peak_allocated_bytes",
            "bytes",
            "most bytes alive in the allocator during one step, absolute",
        ),
        (
            "base_bytes",
            "bytes",
            "of these, there before the step: weights, optimiser, input, target",
        ),
        ("step_peak_bytes", "bytes", "peak_allocated_bytes - base_bytes"),
        ("peak_reserved_bytes", "bytes", "most bytes the CUDA allocator held; empty on the CPU"),
        ("outside_torch_bytes", "bytes", "bytes in use on the card outside torch's allocator"),
        ("workspace_bytes", "bytes", "of the base, what cuBLAS keeps as workspace; CUDA only"),
        ("allocator_retries", "", "times the CUDA allocator had to flush its cache and try again"),
        ("requested_bytes", "bytes", "oom: the allocation that failed"),
        ("total_bytes", "bytes", "oom: memory of the device"),
        ("free_bytes", "bytes", "oom: what was free of it"),
    ),
    *_group(
        "latency",
        ("latency_median_s", "s", "median time of one warm step of the whole batch"),
        ("latency_ci_low_s", "s", "lower end of the median's 95 % confidence interval"),
        ("latency_ci_high_s", "s", "upper end of it"),
        ("latency_iqr_s", "s", "interquartile range of the samples"),
        ("latency_p5_s", "s", "5th percentile"),
        ("latency_p95_s", "s", "95th percentile"),
        ("latency_min_s", "s", "fastest sample"),
        (
            "latency_cold_median_s",
            "s",
            "median with the L2 cache flushed before each step; CUDA only",
        ),
        ("latency_graph_median_s", "s", "median of CUDA-graph replays, where capture is legal"),
        ("graph_refused", "", "why the step could not be captured as a CUDA graph"),
        ("host_enqueue_median_s", "s", "host time to enqueue one step; CUDA only"),
        ("launch_bound", "", "whether the host's time explains the latency; CUDA only"),
        ("first_call_s", "s", "first step of all: compilation, kernel choice, first allocation"),
        ("samples", "", "samples behind the median, of all rounds"),
        ("calls_per_sample", "", "steps timed together in one sample"),
        ("outliers", "", "samples with a modified z-score above 14.8; counted, never removed"),
        ("rounds", "", "rounds that measured this case"),
        ("round_drift", "", "largest relative difference between the medians of two rounds"),
        ("items_per_s", "images/s", "batch / latency_median_s"),
        ("flops_per_s", "FLOP/s", "flops / latency_median_s"),
        ("energy_per_item_j", "J", "energy of one image, the card's idle draw included; CUDA only"),
        ("energy_source", "", "counter: the card's own; power: integrated from power readings"),
        ("gpu_sm_clock_hz", "Hz", "clock of the multiprocessors while it worked"),
        ("gpu_memory_clock_hz", "Hz", "clock of the card's memory while it worked"),
        ("gpu_temperature_c", "°C", "temperature of the card while it worked"),
        ("gpu_power_w", "W", "power the card drew while it worked"),
    ),
    *_group(
        "comparison",
        ("conv_latency_median_s", "s", "the plain convolution this layer replaces, same run"),
        ("conv_peak_allocated_bytes", "bytes", "its peak_allocated_bytes"),
        ("conv_flops", "FLOP", "its flops"),
        ("latency_ratio", "x", "latency_median_s / conv_latency_median_s"),
        ("peak_ratio", "x", "peak_allocated_bytes / conv_peak_allocated_bytes"),
        ("flops_ratio", "x", "flops / conv_flops"),
    ),
    *_group(
        "check",
        ("check_error", "", "relative error against the float64 reference, 64 random queries"),
        ("check_bound", "", "the error allowed for this number format"),
    ),
)

COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
