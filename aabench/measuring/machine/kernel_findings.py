"""The kernel findings: which attention kernels dispatch, and what can be compiled.

Pure functions of an examination.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aabench.measuring.machine.examination import Examination
from aabench.measuring.machine.finding import Finding
from aabench.measuring.machine.toolchain import Toolchain


def kernel_findings(seen: Examination) -> Iterator[Finding]:
    """Which kernels of scaled_dot_product_attention run on each device, and for what."""
    for device in ("cpu", "cuda"):
        problem = seen.problem(f"{device} kernels")
        if problem is not None:
            yield Finding(
                "kernels",
                "warning",
                f"{device}: scaled_dot_product_attention failed: {problem}",
                "leave out --attention sdpa-bias, or install torch anew",
            )
        yield from _dispatched(seen.facts(f"{device} kernels") or [])


def _dispatched(trials: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """One finding for the trials of one device."""
    if not trials:
        return
    device = trials[0]["device"]
    uses = list(dict.fromkeys(trial["use"] for trial in trials))
    runs: dict[str, list[str]] = {trial["kernel"]: [] for trial in trials}
    for trial in trials:
        if trial["problem"] is None:
            runs[trial["kernel"]].append(trial["use"])
    told = [f"{name} ({_uses(used, uses)})" for name, used in runs.items() if used]
    absent = [name for name, used in runs.items() if not used]
    text = f"{device}: scaled_dot_product_attention runs " + "; ".join(told or ["no kernel at all"])
    if absent:
        text += f"; not here: {', '.join(absent)}"
    if any(used for name, used in runs.items() if name != "math"):
        yield Finding("kernels", "ok", text)
    else:
        yield Finding(
            "kernels",
            "warning",
            f"{text}; without a fused kernel every attention map is stored",
            "install a build of torch that has the fused kernels for this device",
        )


def _uses(used: Sequence[str], every: Sequence[str]) -> str:
    return "any mask or none" if list(used) == list(every) else ", ".join(used)


def triton_findings(seen: Examination) -> Iterator[Finding]:
    """Whether Triton compiles and runs a kernel; it wants a CUDA device."""
    if "triton" not in seen.answers:
        version = seen.environment.get("triton")
        if version and not seen.working_cards:
            yield Finding("kernels", "note", f"Triton {version} has no CUDA device to compile for")
        return
    problem = seen.problem("triton")
    if problem is None:
        version = seen.environment.get("triton") or "of unknown version"
        yield Finding("kernels", "ok", f"Triton {version} compiled and ran a kernel")
        return
    if seen.toolchain.c_path is None:
        remedy = "install a C compiler (`sudo apt install gcc`), or name one in CC"
    elif not seen.toolchain.has_python_headers:
        remedy = "install Python's headers (`sudo apt install python3-dev`)"
    else:
        remedy = "install the Triton that belongs to this torch, or do without --attention triton"
    yield Finding("kernels", "warning", f"Triton cannot be used: {problem}", remedy)


def compile_findings(seen: Examination) -> Iterator[Finding]:
    """Whether ``--compile on`` can work: what it needs is there, and, if tried, it does work."""
    if seen.problem("torch") is not None:
        return
    lacks = _toolchain_findings(seen.toolchain)
    yield from lacks
    for device in ("cpu", "cuda"):
        stage = f"{device} compile"
        if seen.problem(stage) is not None:
            yield Finding(
                "kernels",
                "warning",
                f"{device}: torch.compile failed: {seen.problem(stage)}",
                "mend what it names, or leave out --compile on",
            )
        elif stage in seen.answers:
            yield Finding(
                "kernels", "ok", f"{device}: torch.compile worked, in {seen.facts(stage):.0f} s"
            )
    if not lacks and "cpu compile" not in seen.answers:
        yield Finding(
            "kernels",
            "ok",
            f"torch.compile: found {seen.toolchain.cpp_path} and Python's headers",
            "`aabench doctor --thorough` tries whether they work",
        )


def _toolchain_findings(toolchain: Toolchain) -> list[Finding]:
    lacks = []
    if toolchain.cpp_path is None:
        lacks.append(
            Finding(
                "kernels",
                "warning",
                f"no C++ compiler {toolchain.cpp_name}: --compile on cannot work on the CPU",
                "install one (`sudo apt install g++`), or name one in CXX",
            )
        )
    if not toolchain.has_python_headers:
        lacks.append(
            Finding(
                "kernels",
                "warning",
                "Python's headers (Python.h) are missing: --compile on may fail",
                "`sudo apt install python3-dev`, or the like for this Python",
            )
        )
    return lacks
