"""The columns of a results table: names, units and meanings, in the order of the CSV.

This is the stable schema: a column may be added, never renamed or given another meaning without
a new ``SCHEMA_VERSION``.
"""

from __future__ import annotations

from dataclasses import dataclass

from aabench.cases.kernels import KERNELS

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
    """One column.

    Attributes:
        name: in the CSV and in the DataFrame.
        kind: ``text``, ``whole`` (numbers), ``number`` or ``switch`` (true or false); every kind may be
            empty.
        unit: of its values, "" for none.
        group: what it belongs to.
        meaning: one line.
    """

    name: str
    kind: str
    unit: str
    group: str
    meaning: str


def _group(group: str, *columns: tuple[str, str, str, str]) -> list[Column]:
    return [Column(name, kind, unit, group, meaning) for name, kind, unit, meaning in columns]


COLUMNS: tuple[Column, ...] = (
    *_group(
        "outcome",
        ("status", "text", "", "what became of the case: " + ", ".join(STATUSES)),
        ("reason", "text", "", "why it is not ok, with the value got and the values allowed"),
        ("notes", "text", "", "what was rounded, raised or resolved on the way to this case"),
        ("warnings", "text", "", "what makes the figures doubtful, with a remedy each"),
    ),
    *_group(
        "case",
        ("network", "text", "", "the whole network; empty of a layer"),
        ("augment", "text", "", "patterns of the convolutions augmented beyond the network's own"),
        ("layer", "text", "", "kind of layer: augmented, local, bottleneck; empty of a network"),
        ("in_channels", "whole", "channels", "input channels, Fin"),
        ("out_channels", "whole", "channels", "output channels, Fout"),
        (
            "kernel_size",
            "whole",
            "pixels",
            "side of the convolution's kernel or local attention's window",
        ),
        (
            "stride",
            "whole",
            "pixels",
            "stride of the layer; a network's settings are empty where they are its own",
        ),
        (
            "downsample",
            "whole",
            "",
            "further pooling of the attention's input, undone on its output",
        ),
        ("heads", "whole", "", "attention heads, Nh"),
        ("dk", "whole", "channels", "key depth of all heads together"),
        ("dv", "whole", "channels", "value depth of all heads together"),
        ("kappa", "number", "", "dk / Fout as asked for; empty where dk was given"),
        ("upsilon", "number", "", "dv / Fout as asked for; empty where dv was given"),
        ("position", "text", "", "position encoding"),
        ("height", "whole", "pixels", "height of the layer's or network's input"),
        ("width", "whole", "pixels", "width of the layer's or network's input"),
        ("tokens", "whole", "pixels", "positions that attend to each other, N = H' * W'"),
        ("batch", "whole", "images", "images per step"),
        (
            "mode",
            "text",
            "",
            "infer: forward; forward-backward; train: that and the optimiser step",
        ),
        ("precision", "text", "", "number format"),
        (
            "attention",
            "text",
            "",
            "attention form that ran, several joined by +; none without attention",
        ),
        ("compile", "switch", "", "whether torch.compile wrapped the layer"),
        ("memory_format", "text", "", "layout of input and weights"),
        ("optimizer", "text", "", "optimiser of a train step"),
        (
            "device",
            "text",
            "",
            "device the case ran on; on a cluster with the node's name before it",
        ),
        (
            "device_name",
            "text",
            "",
            "the card's name, or the processor's with its threads; empty of predictions",
        ),
        ("key", "text", "", "content hash of the case; equal cases are measured once and share it"),
    ),
    *_group(
        "kernel",
        (
            "kernel",
            "text",
            "",
            "what computed the attention, as it really ran: " + ", ".join(KERNELS),
        ),
        (
            "kernel_refused",
            "text",
            "",
            "why kernels that torch prefers did not run; empty if the first did, or none was asked",
        ),
    ),
    *_group(
        "counts",
        ("params", "whole", "", "parameters of the layer or network"),
        ("macs", "whole", "MAC", "multiply-accumulates of one step as its form executes it"),
        ("flops", "whole", "FLOP", "2 * macs"),
        ("flops_forward", "whole", "FLOP", "forward pass of one step, independent of the form"),
        (
            "traced_macs",
            "whole",
            "MAC",
            "forward MACs counted by torch's FlopCounterMode on the meta device",
        ),
        ("counts_remark", "text", "", "where closed form and trace disagree, by how much"),
    ),
    *_group(
        "memory",
        ("predicted_peak_bytes", "whole", "bytes", "predicted peak_allocated_bytes"),
        ("predicted_peak_low_bytes", "whole", "bytes", "lower end of the prediction's band"),
        ("predicted_peak_high_bytes", "whole", "bytes", "upper end of it"),
        ("predicted_base_bytes", "whole", "bytes", "predicted base_bytes"),
        ("predicted_step_peak_bytes", "whole", "bytes", "predicted step_peak_bytes"),
        (
            "prediction_basis",
            "text",
            "",
            "what stands behind the bands: calibrated, uncalibrated, never checked on a card",
        ),
        ("saved_bytes", "whole", "bytes", "predicted: kept from the forward to the backward pass"),
        (
            "maps_at_peak",
            "number",
            "maps",
            "predicted: full (B, Nh, N, N) attention maps alive at the peak",
        ),
        (
            "peak_error",
            "number",
            "",
            "predicted_peak_bytes / peak_allocated_bytes - 1, the error of the prediction",
        ),
        (
            "step_peak_error",
            "number",
            "",
            "the same of the step's peak alone, which weights cannot flatter",
        ),
        (
            "peak_allocated_bytes",
            "whole",
            "bytes",
            "most bytes alive in the allocator during one step, absolute",
        ),
        (
            "base_bytes",
            "whole",
            "bytes",
            "of these, there before the step: weights, optimiser, input, target",
        ),
        ("step_peak_bytes", "whole", "bytes", "peak_allocated_bytes - base_bytes"),
        (
            "peak_reserved_bytes",
            "whole",
            "bytes",
            "most bytes the CUDA allocator held; empty on the CPU",
        ),
        (
            "outside_torch_bytes",
            "whole",
            "bytes",
            "bytes in use on the card outside torch's allocator",
        ),
        (
            "workspace_bytes",
            "whole",
            "bytes",
            "of the base, what cuBLAS keeps as workspace; CUDA only",
        ),
        (
            "allocator_retries",
            "whole",
            "",
            "times the CUDA allocator had to flush its cache and try again",
        ),
        ("requested_bytes", "whole", "bytes", "oom: the allocation that failed"),
        ("total_bytes", "whole", "bytes", "oom: memory of the device"),
        ("free_bytes", "whole", "bytes", "oom: what was free of it"),
    ),
    *_group(
        "latency",
        ("predicted_latency_s", "number", "s", "predicted latency_median_s"),
        ("predicted_latency_low_s", "number", "s", "lower end of the prediction's band"),
        ("predicted_latency_high_s", "number", "s", "upper end of it"),
        ("bound", "text", "", "what takes most of the predicted time: compute, memory, launch"),
        ("latency_median_s", "number", "s", "median time of one warm step of the whole batch"),
        ("latency_ci_low_s", "number", "s", "lower end of the median's 95 % confidence interval"),
        ("latency_ci_high_s", "number", "s", "upper end of it"),
        ("latency_iqr_s", "number", "s", "interquartile range of the samples"),
        ("latency_p5_s", "number", "s", "5th percentile"),
        ("latency_p95_s", "number", "s", "95th percentile"),
        ("latency_min_s", "number", "s", "fastest sample"),
        (
            "latency_cold_median_s",
            "number",
            "s",
            "median with the L2 cache flushed before each step; CUDA only",
        ),
        (
            "latency_graph_median_s",
            "number",
            "s",
            "median of CUDA-graph replays, where capture is legal",
        ),
        ("graph_refused", "text", "", "why the step could not be captured as a CUDA graph"),
        ("host_enqueue_median_s", "number", "s", "host time to enqueue one step; CUDA only"),
        ("launch_bound", "switch", "", "whether the host's time explains the latency; CUDA only"),
        (
            "first_call_s",
            "number",
            "s",
            "first step of all: compilation, kernel choice, first allocation",
        ),
        ("samples", "whole", "", "samples behind the median, of all rounds"),
        ("calls_per_sample", "whole", "", "steps timed together in one sample"),
        (
            "outliers",
            "whole",
            "",
            "samples with a modified z-score above 14.8; counted, never removed",
        ),
        ("rounds", "whole", "", "rounds that measured this case"),
        (
            "round_drift",
            "number",
            "",
            "largest relative difference between the medians of two rounds",
        ),
        ("items_per_s", "number", "images/s", "batch / latency_median_s"),
        (
            "training_hours",
            "number",
            "h",
            "hours of --epochs times --images at items_per_s, in train; not in the run's files",
        ),
        ("flops_per_s", "number", "FLOP/s", "flops / latency_median_s"),
        (
            "energy_per_item_j",
            "number",
            "J",
            "energy of one image, the card's idle draw included; CUDA only",
        ),
        (
            "energy_source",
            "text",
            "",
            "counter: the card's own; power: integrated from power readings",
        ),
        ("gpu_sm_clock_hz", "whole", "Hz", "clock of the multiprocessors while it worked"),
        ("gpu_memory_clock_hz", "whole", "Hz", "clock of the card's memory while it worked"),
        ("gpu_temperature_c", "whole", "°C", "temperature of the card while it worked"),
        ("gpu_power_w", "number", "W", "power the card drew while it worked"),
    ),
    *_group(
        "comparison",
        (
            "conv_latency_median_s",
            "number",
            "s",
            "the plain convolution this layer replaces, or the plain network; same run",
        ),
        ("conv_peak_allocated_bytes", "whole", "bytes", "its peak_allocated_bytes"),
        ("conv_flops", "whole", "FLOP", "its flops"),
        ("latency_ratio", "number", "x", "latency_median_s / conv_latency_median_s"),
        ("peak_ratio", "number", "x", "peak_allocated_bytes / conv_peak_allocated_bytes"),
        ("flops_ratio", "number", "x", "flops / conv_flops"),
    ),
    *_group(
        "check",
        (
            "check_error",
            "number",
            "",
            "relative error against the float64 reference, 64 random queries",
        ),
        ("check_bound", "number", "", "the error allowed for this number format"),
    ),
)

COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

DTYPES: dict[str, str] = {
    column.name: {"text": "object", "whole": "Int64", "number": "float64", "switch": "boolean"}[
        column.kind
    ]
    for column in COLUMNS
}
"""The pandas type of each column: the same whatever its values are, so that runs can be joined."""
