"""A case in a few words, for progress lines and messages."""

from __future__ import annotations

from aabench.cases.case import AUGMENTED, Case, Layer


def case_text(case: Case) -> str:
    """Such as ``blocked 28x28 Nh8 dk64 dv64 B8 train``, leaving out what is as usual."""
    words = _of_layer(case, case.subject) if isinstance(case.subject, Layer) else _of_network(case)
    words += [f"B{case.batch}", case.mode]
    if case.precision != "fp32":
        words.append(case.precision)
    if case.compile:
        words.append("compiled")
    return " ".join(words)


def _of_layer(case: Case, layer: Layer) -> list[str]:
    words = ["convolution" if layer.is_plain else case.attention, f"{layer.height}x{layer.width}"]
    if layer.kind not in (AUGMENTED, case.attention):
        words.insert(0, layer.kind)
    if not layer.is_plain:
        words += [f"Nh{layer.heads}", f"dk{layer.dk}", f"dv{layer.dv}"]
    return words


def _of_network(case: Case) -> list[str]:
    network = case.network
    assert network is not None
    words = [network.name, f"{network.height}x{network.width}"]
    if network.augment:
        words.append(f"augmented at {network.augment}")
    if case.takes_form:
        words.append(case.attention)
    return words
