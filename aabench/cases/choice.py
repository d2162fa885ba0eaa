"""The rule behind ``attention="auto"``: which form suits a device, precision, mode and size, and why.

The first rule of ``RULES`` that applies decides. To add a form, add a rule above those it beats.
Forms that nobody has yet measured to be better somewhere (`triton`, `flex`) are not chosen: name them.
No torch here: the command line explains a choice in milliseconds, and a case is resolved before
anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

AUTO = "auto"
"""The attention that stands for whatever the rules choose."""


BFLOAT16_SINCE = (8, 0)
"""The compute capability from which fused CUDA kernels take bfloat16."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides which form of the attention is best.

    Attributes:
        device_type: ``cpu``, ``cuda``, or another of torch's names.
        capability: a CUDA device's compute capability, such as (9, 0); None elsewhere.
        precision: one of ``aabench.cases.case.PRECISIONS``, or ``fp64``.
        training: whether gradients are needed.
        tokens: N = H * W at the attention's resolution.
        key_depth_per_head: dk/Nh.
        value_depth_per_head: dv/Nh.
        height: H of the attention's map.
        width: W of the attention's map.
        has_tables: whether relative positions are added to the logits.
    """

    device_type: str
    capability: tuple[int, int] | None
    precision: str
    training: bool
    tokens: int
    key_depth_per_head: int
    value_depth_per_head: int
    height: int
    width: int
    has_tables: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A form's name in the catalogue, and one clause on why it was chosen."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A form, when it is the best there is, and why."""

    form: str
    applies: Callable[[Situation], bool]
    why: str


def _on_cpu(situation: Situation) -> bool:
    return situation.device_type == "cpu"


def _on_cuda(situation: Situation) -> bool:
    return situation.device_type == "cuda"


def _without_tables(situation: Situation) -> bool:
    return not situation.has_tables


def _without_fused_kernel(situation: Situation) -> bool:
    """Whether none of torch's fused CUDA kernels takes the data type; an unknown card is a new one."""
    if situation.precision == "fp64":
        return True
    is_old = situation.capability is not None and situation.capability < BFLOAT16_SINCE
    return is_old and situation.precision in {"bf16", "amp-bf16"}


def _both(*conditions: Callable[[Situation], bool]) -> Callable[[Situation], bool]:
    return lambda situation: all(condition(situation) for condition in conditions)


RULES: tuple[Rule, ...] = (
    Rule(
        "sdpa-bias",
        _both(_on_cpu, _without_tables),
        "without relative positions there is no mask, and the fused CPU kernel stores no map",
    ),
    Rule(
        "blocked",
        _on_cpu,
        "one small buffer in place of full maps, forward and backward, and the quickest of all forms "
        "on the CPU",
    ),
    Rule(
        "blocked",
        _both(_on_cuda, _without_fused_kernel),
        "no fused CUDA kernel takes this number format here, and one small buffer stands in for full maps",
    ),
    Rule(
        "sdpa-bias",
        _both(_on_cuda, _without_tables),
        "without relative positions there is no mask, and a fused CUDA kernel stores no map",
    ),
    Rule(
        "factored",
        _on_cuda,
        "position logits as columns of q and k need no mask, so a fused CUDA kernel stores no map",
    ),
    Rule(
        "broadcast",
        lambda situation: True,
        "ordinary matrix products and additions, which every device has",
    ),
)

CANDIDATES: tuple[str, ...] = tuple(dict.fromkeys(rule.form for rule in RULES))
"""The forms that ``auto`` may stand for."""


def choose_attention(situation: Situation) -> Choice:
    """The form that the rules choose: that of the first rule that applies."""
    rule = next(rule for rule in RULES if rule.applies(situation))
    return Choice(rule.form, rule.why)
