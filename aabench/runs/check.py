"""The check before the clock: a form whose numbers are wrong is not timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aabench.cases.case import LOCAL, Case
from aabench.cases.catalogue import ATTENTIONS
from aabench.errors import AabenchError
from aabench.layers.attention_inputs import AttentionInputs
from aabench.layers.local_attention import attend_locally
from aabench.layers.local_reference import local_reference_rows
from aabench.layers.reference import reference_rows
from aabench.runs.attention_choice import resolve_attention
from aabench.runs.device_facts import DeviceFacts
from aabench.runs.model import AUTOCAST, augmented_cases, dtype_of
from aabench.runs.subject import Subject

QUERIES = 64
"""Random query rows that are compared in the case itself."""

LARGEST_SIDE = 16
"""The small check, with gradients, is at most this many pixels wide and high, with two images."""

_CHECKED: set[tuple[object, ...]] = set()
"""What this worker has checked already: form, precision, position, mode, device, depths."""


class WrongResult(AabenchError):
    """A form's result is not the attention's: by shape, data type, NaN or value."""

    def __init__(self, what: str, error: float | None = None, bound: float | None = None) -> None:
        super().__init__(what)
        self.figures: dict[str, Any] = {"check_error": error, "check_bound": bound}


def error_bound(case: Case) -> float:
    """The relative error, ||out - ref|| / ||ref||, that a number format explains.

    A few roundings of each factor for half formats; for float32, whose sums over thousands of keys
    add up, more of its much smaller units. TF32 rounds inputs to 11 bits, as float16 does.
    """
    if case.precision == "tf32":
        return 16 * torch.finfo(torch.float16).eps
    dtype = AUTOCAST.get(case.precision, dtype_of(case))
    units = 256 if dtype == torch.float32 else 16
    return units * torch.finfo(dtype).eps


def check_network(subject: Subject, facts: DeviceFacts) -> dict[str, Any]:
    """Compare the form of every augmented convolution of a network, each kind once a worker.

    Returns:
        ``attention``: the forms that run, joined by ``+``; nothing where the network has none.

    Raises:
        WrongResult: one disagrees with the float64 reference.
        UnsupportedCase: a form refuses a layer.
    """
    cases = augmented_cases(subject.model, subject.case)
    resolved = [resolve_attention(case, facts)[0] for case in cases.values()]
    for case in resolved:
        check_form(case, subject.input.device)
    forms = dict.fromkeys(case.attention for case in resolved)
    return {"attention": "+".join(forms)} if forms else {}


def check_form(case: Case, device: torch.device) -> None:
    """Compare a form's output, and its gradients if the mode has any, on a small map; once a worker.

    Raises:
        WrongResult: it disagrees with the float64 reference.
        UnsupportedCase: the form refuses it.
    """
    training = case.mode != "infer"
    layer = case.layer
    depths = layer.dk // layer.heads, layer.dv // layer.heads
    identity = (
        *(case.attention, case.precision, layer.position, layer.kernel_size),
        *(training, str(device), depths),
    )
    if identity in _CHECKED:
        return
    attend, reference = _attention_of(case)
    inputs = _small_inputs(case, device, requires_grad=training)
    gradient = torch.randn_like(inputs.v)
    with torch.set_grad_enabled(training), _autocast(case, device):
        output = attend(*inputs)
    _same_kind(output, inputs)
    exact_inputs = _in_float64(inputs, requires_grad=training)
    rows = torch.arange(inputs.q.shape[2], device=device)
    exact = reference(*exact_inputs, rows)
    _compare(case, "output", output, exact)
    if training:
        output.backward(gradient.to(output.dtype))
        exact.backward(gradient.double())
        for name, ours, theirs in _gradients(inputs, exact_inputs):
            _compare(case, f"gradient of {name}", ours, theirs)
    _CHECKED.add(identity)


def check_case(subject: Subject, seed: int) -> dict[str, Any]:
    """Compare random query rows of the case itself with the float64 reference.

    Returns:
        ``check_error`` and ``check_bound``.

    Raises:
        WrongResult: they disagree.
    """
    case = subject.case
    attend, reference = _attention_of(case)
    layer: Any = subject.model
    with torch.inference_mode(), _autocast(case, subject.input.device):
        inputs = layer.attention_inputs(subject.input.detach())
        output = attend(*inputs)
    _same_kind(output, inputs)
    tokens = inputs.q.shape[2]
    picker = torch.Generator().manual_seed(seed)
    rows = torch.randperm(tokens, generator=picker)[:QUERIES].to(output.device)
    exact = reference(*_first_image(_in_float64(inputs, requires_grad=False)), rows)
    error, bound = _compare(case, "output", output[:1, :, rows], exact)
    return {"check_error": error, "check_bound": bound}


def _attention_of(case: Case) -> tuple[Callable[..., Any], Callable[..., Tensor]]:
    """What computes the attention of a layer, and what checks it."""
    if case.layer.kind == LOCAL:
        return attend_locally, local_reference_rows
    return ATTENTIONS.load(case.attention), reference_rows


def _compare(case: Case, what: str, ours: Tensor, exact: Tensor) -> tuple[float, float]:
    bound = error_bound(case)
    norm = exact.norm()
    error = float((ours.detach().double() - exact.detach()).norm() / norm.clamp(min=1e-30))
    if not error <= bound:  # also when it is NaN
        raise WrongResult(
            f"{case.attention}: its {what} disagrees with the float64 reference: relative error "
            f"{error:.3g}, allowed {bound:.3g} in {case.precision}",
            error,
            bound,
        )
    return error, bound


def _same_kind(output: object, inputs: AttentionInputs) -> None:
    if not isinstance(output, Tensor):
        raise WrongResult(f"the form returned {type(output).__name__}, not a tensor")
    if output.shape != inputs.v.shape:
        raise WrongResult(
            f"the form returned shape {tuple(output.shape)}, not {tuple(inputs.v.shape)}"
        )
    if not output.dtype.is_floating_point:
        raise WrongResult(f"the form returned {output.dtype}, not {inputs.v.dtype}")


def _small_inputs(case: Case, device: torch.device, *, requires_grad: bool) -> AttentionInputs:
    layer = case.layer
    height, width = (min(side, LARGEST_SIDE) for side in layer.attention_resolution)
    heads = min(layer.heads, 2)
    key_depth, value_depth = layer.dk // layer.heads, layer.dv // layer.heads
    dtype = AUTOCAST.get(case.precision, dtype_of(case))
    generator = torch.Generator(device=device).manual_seed(1)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(shape, device=device, generator=generator) * scale
        return values.to(dtype).requires_grad_(requires_grad)

    tables = None
    if layer.kind == LOCAL:
        shape = (heads, key_depth // 2, layer.kernel_size)
        tables = draw(*shape, scale=key_depth**-0.5), draw(*shape, scale=key_depth**-0.5)
    elif layer.position == "relative":
        sides = (2 * height - 1, 2 * width - 1)
        tall, wide = (draw(side, key_depth, scale=key_depth**-0.5) for side in sides)
        tables = (tall, wide)
    tokens = height * width
    return AttentionInputs(
        draw(2, heads, tokens, key_depth, scale=key_depth**-0.5),
        draw(2, heads, tokens, key_depth),
        draw(2, heads, tokens, value_depth),
        tables,
        (height, width),
    )


def _in_float64(inputs: AttentionInputs, *, requires_grad: bool) -> AttentionInputs:
    def exact(tensor: Tensor) -> Tensor:
        return tensor.detach().double().requires_grad_(requires_grad)

    tables = inputs.tables
    return AttentionInputs(
        exact(inputs.q),
        exact(inputs.k),
        exact(inputs.v),
        None if tables is None else (exact(tables[0]), exact(tables[1])),
        inputs.resolution,
    )


def _first_image(inputs: AttentionInputs) -> AttentionInputs:
    return inputs._replace(q=inputs.q[:1], k=inputs.k[:1], v=inputs.v[:1])


def _gradients(inputs: AttentionInputs, exact: AttentionInputs) -> list[tuple[str, Tensor, Tensor]]:
    pairs = [("q", inputs.q, exact.q), ("k", inputs.k, exact.k), ("v", inputs.v, exact.v)]
    if inputs.tables is not None and exact.tables is not None:
        pairs += [
            ("height table", inputs.tables[0], exact.tables[0]),
            ("width table", inputs.tables[1], exact.tables[1]),
        ]
    for name, ours, _ in pairs:
        if ours.grad is None:
            raise WrongResult(f"the form gives no gradient of {name}")
    return [(name, ours.grad, theirs.grad) for name, ours, theirs in pairs]  # type: ignore[misc]


def _autocast(case: Case, device: torch.device) -> Any:
    dtype = AUTOCAST.get(case.precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
