"""The step settings: what one step of a network is, in the words of a case."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from aabench.cases.case import MEMORY_FORMATS, MODES, OPTIMIZERS, PRECISIONS
from aabench.cost.execution import Execution, default_threads
from aabench.errors import UnknownName, UsageError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The data type that a precision gives to weights and input; float32 otherwise."""

AUTOCAST = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}
"""The data type that autocast computes in, by precision."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """What one step is, and for which device it is predicted.

    Attributes:
        mode: ``infer`` (eval, inference mode), ``forward-backward`` or ``train`` (with the update).
        precision: one of ``aabench.cases.case.PRECISIONS``.
        memory_format: ``contiguous`` or ``channels-last``.
        optimizer: one of ``OPTIMIZERS``; it counts in ``train`` only, and None is the first of them.
        of_layer: whether the model is a layer: then the input needs a gradient, and the backward pass
            starts from a fixed one; else it is a network with a loss.
        checkpointed: fnmatch patterns of module names; where training, what matches runs under
            non-reentrant checkpointing. Of modules inside each other the outermost counts.
        gradient_buckets: whether DDP's buckets, as large as all gradients, are alive throughout.
        granularity: the allocator rounds each block up to a multiple of so many bytes: 1 on the
            CPU, 512 on CUDA.
        device_type: whose kernels and allocator are predicted: ``cpu`` or ``cuda``.
        capability: of a CUDA device, such as (9, 0); it decides what ``auto`` stands for and which
            fused kernels run.
        threads: CPU threads, for each of which some kernels take scratch memory; None for as many as
            torch would use here.
    """

    mode: str = "infer"
    precision: str = "fp32"
    memory_format: str = "contiguous"
    optimizer: str | None = None
    of_layer: bool = False
    checkpointed: tuple[str, ...] = ()
    gradient_buckets: bool = False
    granularity: int = 1
    device_type: str = "cpu"
    capability: tuple[int, int] | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("mode", self.mode, MODES),
            ("precision", self.precision, PRECISIONS),
            ("memory format", self.memory_format, MEMORY_FORMATS),
            ("optimizer", self.optimizer or OPTIMIZERS[0], OPTIMIZERS),
        ):
            if name not in known:
                raise UnknownName(kind, name, known)
        for what, number in (("granularity", self.granularity), ("threads", self.threads)):
            if number is not None and number < 1:
                raise UsageError(f"{what} must be at least 1", got=number)

    @property
    def trains(self) -> bool:
        """Whether a backward pass follows the forward pass."""
        return self.mode != "infer"

    @property
    def update_rule(self) -> str | None:
        """The optimiser's name, None where the step has no update."""
        return (self.optimizer or OPTIMIZERS[0]) if self.mode == "train" else None

    @property
    def dtype(self) -> torch.dtype:
        """The data type of floating-point weights, buffers and input."""
        return DTYPES.get(self.precision, torch.float32)

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """The data type of autocast, None where it is off."""
        return AUTOCAST.get(self.precision)

    @property
    def layout(self) -> torch.memory_format:
        """The layout of four-dimensional weights and of the input."""
        is_last = self.memory_format == "channels-last"
        return torch.channels_last if is_last else torch.contiguous_format

    def execution(self) -> Execution:
        """Where and in which numbers, as the closed forms want it."""
        return Execution(
            device_type=self.device_type,
            precision=self.precision,
            channels_last=self.memory_format == "channels-last",
            threads=self.threads or default_threads(),
            capability=self.capability,
        )
