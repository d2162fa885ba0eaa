"""The traced step: what one step of a network costs, as a whole and by module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aabench.cost.traced.operations import Operations
from aabench.cost.traced.step_settings import StepSettings

Shape = tuple[int, ...]

FORWARD = "forward"
BACKWARD = "backward"
OPTIMIZER = "optimizer"


@dataclass(frozen=True, slots=True)
class TracedModule:
    """What one module does in a step, with all modules inside it.

    Attributes:
        name: as in ``named_modules``; ``(model)`` for the model itself.
        kind: its class.
        depth: 0 for the model itself, 1 for its children, and so on.
        is_leaf: whether it has no modules inside it.
        kernel_size: height of the window of a two-dimensional convolution; None of other modules.
        calls: how often its forward ran, recomputation apart.
        input_shape: of the first tensor of its first call; None if there was none.
        output_shape: likewise.
        params: elements of its parameters; one that several modules share is the first one's.
        macs_forward: multiply-accumulates of its forward pass, the same for every attention form.
        macs_step: multiply-accumulates of the whole step as executed, recomputation included.
        saved_bytes: of what it allocated, alive between its forward and its backward pass.
        bytes_at_peak: of what is alive at the step's peak, its own: parameters, buffers, their
            gradients and optimiser state, and what its operations allocated.
        at_peak: these by line of ``aabench.cost.traced.allocations.KINDS``.
        own_bytes_at_peak: the bytes at the peak without the modules inside it; these sum to the peak over all
            modules of a step.
        live_peak_bytes: most bytes of the whole step alive while it runs, forward or backward.
    """

    name: str
    kind: str
    depth: int
    is_leaf: bool
    kernel_size: int | None
    calls: int
    input_shape: Shape | None
    output_shape: Shape | None
    params: int
    macs_forward: int
    macs_step: int
    saved_bytes: int
    bytes_at_peak: int
    at_peak: Mapping[str, int]
    own_bytes_at_peak: int
    live_peak_bytes: int


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One predicted step; every figure is predicted, none measured.

    Attributes:
        batch: images.
        settings: what the step is.
        params: elements of all parameters, shared ones once.
        macs_forward: multiply-accumulates of the forward pass, the same for every attention form.
        macs: multiply-accumulates of the whole step as executed, recomputation included.
        parameter_bytes: bytes of the parameters.
        buffer_bytes: bytes of the buffers.
        base_bytes: alive before the step: parameters, buffers, optimiser state, input, target, and
            gradient buckets.
        saved_bytes: alive between forward and backward over the base; 0 in ``infer``.
        peak_bytes: most bytes alive at any moment, absolute.
        at_peak: bytes at that moment by line of ``aabench.cost.traced.allocations.KINDS``; they sum
            to the peak.
        phase_peaks: most bytes alive in ``forward``, ``backward`` and ``optimizer``, as far as the
            step has these.
        modules: the model itself, then all modules in the order in which the forward pass reached
            them.
        operations: what each operation computes, moves and launches.
        basis: how the figures came about, in a few words.
    """

    batch: int
    settings: StepSettings
    params: int
    macs_forward: int
    macs: int
    parameter_bytes: int
    buffer_bytes: int
    base_bytes: int
    saved_bytes: int
    peak_bytes: int
    at_peak: Mapping[str, int]
    phase_peaks: Mapping[str, int]
    modules: tuple[TracedModule, ...]
    operations: Operations
    basis: str

    @property
    def step_peak_bytes(self) -> int:
        """Most bytes of the step's own: the peak over the base."""
        return self.peak_bytes - self.base_bytes

    @property
    def flops(self) -> int:
        """Of the whole step as executed; 1 MAC is 2 FLOPs."""
        return 2 * self.macs

    @property
    def flops_forward(self) -> int:
        """Of the forward pass, the same for every attention form."""
        return 2 * self.macs_forward

    @property
    def peak_phase(self) -> str:
        """The first phase that reaches the peak."""
        return max(self.phase_peaks, key=lambda phase: self.phase_peaks[phase])

    @property
    def optimizer_peak(self) -> bool:
        """Whether the update of the parameters is what needs most."""
        return self.peak_phase == OPTIMIZER
