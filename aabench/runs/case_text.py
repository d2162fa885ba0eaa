"""A case in a few words, for progress lines and messages."""

from __future__ import annotations

from aabench.cases.case import Case


def case_text(case: Case) -> str:
    """Such as ``blocked 28x28 Nh8 dk64 dv64 B8 train``, leaving out what is as usual."""
    layer = case.layer
    words = ["convolution" if layer.is_plain else case.attention, f"{layer.height}x{layer.width}"]
    if not layer.is_plain:
        words += [f"Nh{layer.heads}", f"dk{layer.dk}", f"dv{layer.dv}"]
    words += [f"B{case.batch}", case.mode]
    if case.precision != "fp32":
        words.append(case.precision)
    if case.compile:
        words.append("compiled")
    return " ".join(words)
