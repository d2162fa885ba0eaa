"""The trace: one step of any torch module on tensors without memory, written down block by block."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from aabench.cost.execution import SINGLE
from aabench.cost.timeline import GRADIENTS, INPUT, OPTIMIZER_STATE, PARAMETERS
from aabench.cost.traced.allocations import (
    ACTIVATIONS,
    BUFFERS,
    GRADIENT_BUCKETS,
    TARGET,
    TEMPORARIES,
    AllocationLog,
)
from aabench.cost.traced.attention_operation import make_attention_one_operation
from aabench.cost.traced.fake_model import fake_copy
from aabench.cost.traced.kernel_scratch import KernelScratch
from aabench.cost.traced.meter import Meter, Runner, called
from aabench.cost.traced.network_step import NetworkStep
from aabench.cost.traced.objective import Maker
from aabench.cost.traced.owners import MODEL, Owners
from aabench.cost.traced.stand_ins import StandInMode, result_of
from aabench.cost.traced.step_record import ModuleRecord, StepRecord
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.traced_step import BACKWARD, FORWARD, OPTIMIZER, TracedStep
from aabench.errors import AabenchError, UsageError

_one_at_a_time = RLock()
_log = logging.getLogger(__name__)
_torch_log = logging.getLogger("torch._subclasses.fake_tensor")

InputShape = tuple[int, int, int, int]
"""(B, C, H, W)."""

LARGEST = 2**63 - 1


def trace_step(
    model: nn.Module, input_shape: InputShape, settings: StepSettings | None = None
) -> TracedStep:
    """What one step of a model would allocate and compute.

    The model is not changed and not run, and no memory of its size is taken: a copy of it runs on
    tensors without memory, on stand-ins where these will do and else on torch's fake ones. The step
    is that of ``NetworkStep``, in steady state: optimiser state exists, and gradients do not.

    Args:
        model: any module of one image batch, on any device, ``meta`` included.
        input_shape: (B, C, H, W).
        settings: what the step is; by default inference in single precision.

    Raises:
        UsageError: a size below 1 or beyond 64 bits, a pattern that matches no module, a model that
            cannot be copied, or whose step cannot be traced: the message names module and operation.
        UnsupportedCase: an attention form cannot compute its case.
    """
    return record_step(model, input_shape, settings or StepSettings()).figures()


def record_step(model: nn.Module, input_shape: InputShape, settings: StepSettings) -> StepRecord:
    """The record behind ``trace_step``, which raises the same."""
    _check_shape(input_shape)
    record = _on_stand_ins(model, input_shape, settings)
    return _on_fake_tensors(model, input_shape, settings) if record is None else record


def _on_stand_ins(
    model: nn.Module, input_shape: InputShape, settings: StepSettings
) -> StepRecord | None:
    """The record by stand-ins, which are many times as quick; None of a model that they cannot run."""
    mode = StandInMode()  # type: ignore[no-untyped-call]
    with _undisturbed():
        owners = Owners(fake_copy(model, mode, settings))
        scratch = KernelScratch(settings.execution())
        try:
            with mode:
                return _Trace(owners, scratch, input_shape, settings, result_of).run()
        except AabenchError:
            raise
        except Exception:  # a user's forward may raise anything; fake tensors take it or say why
            _log.debug("stand-ins do not take the model", exc_info=True)
            return None


def _on_fake_tensors(
    model: nn.Module, input_shape: InputShape, settings: StepSettings
) -> StepRecord:
    """The record by torch's own fake CPU tensors, which take any model, and their time."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with _undisturbed():
        owners = Owners(fake_copy(model, mode, settings))
        # It asks the processor, so outside of the mode.
        scratch = KernelScratch(settings.execution())
        with mode, _explained(owners, input_shape):
            return _Trace(owners, scratch, input_shape, settings, called).run()


class _Trace:
    """One step of a fake model, being traced."""

    def __init__(
        self,
        owners: Owners,
        scratch: KernelScratch,
        input_shape: InputShape,
        settings: StepSettings,
        run: Runner,
    ) -> None:
        self._owners, self._settings = owners, settings
        self._log = AllocationLog()
        self._meter = Meter(owners, scratch, self._log, run)
        image = torch.empty(input_shape, dtype=settings.dtype, memory_format=settings.layout)
        self._step = _TracedNetworkStep(owners.model, image, settings)
        self._step.meter = self._meter
        self._parameters = owners.owned_tensors(partial(nn.Module.parameters, recurse=False))
        self._buffers = owners.owned_tensors(partial(nn.Module.buffers, recurse=False))
        self._starts: list[tuple[str, int]] = []

    def run(self) -> StepRecord:
        """Run the step and write it down."""
        self._reach_steady_state()
        make_attention_one_operation(self._owners, self._meter, self._settings)
        self._owners.watch()
        if self._settings.trains:
            _checkpoint(self._owners, self._settings.checkpointed)
        self._write_base()
        with self._meter:
            self._run_phases()
        macs = sum(owner.macs_step for owner in self._owners)
        if max(sum(self._log.sizes), macs) > LARGEST:
            raise _overflow(tuple(self._step.input.shape), "in sum")
        return StepRecord(
            batch=self._step.input.shape[0],
            settings=self._settings,
            modules=self._module_records(),
            order=tuple(self._owners.order),
            allocations=self._log.columns(),
            starts=tuple(self._starts),
            operations=self._meter.operations.all(),
            attentions=tuple(record() for record in self._meter.attentions),
        )

    def _reach_steady_state(self) -> None:
        """Let the optimiser make its state: any gradients will do."""
        optimizer = self._step.optimizer
        if optimizer is None:
            return
        for parameter in self._parameters:
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)
        optimizer.step()
        self._step.reset()

    def _write_base(self) -> None:
        notice = self._meter.notice
        for tensor, owner in self._parameters.items():
            notice(tensor, PARAMETERS, owner)
        for tensor, owner in self._buffers.items():
            notice(tensor, BUFFERS, owner)
        for parameter, tensor in self._step.state_tensors():
            notice(tensor, OPTIMIZER_STATE, self._parameters[parameter])
        notice(self._step.input, INPUT, MODEL)
        if self._settings.gradient_buckets and self._settings.trains:
            trained = [p for p in self._parameters if p.requires_grad]
            size = sum(p.numel() * p.element_size() for p in trained)
            self._log.allocate(size, GRADIENT_BUCKETS, MODEL)

    def _run_phases(self) -> None:
        self._begin(FORWARD)
        start = self._step.forward()
        if start is None:
            return
        self._relabel_saved()
        self._owners.in_forward = False
        self._begin(BACKWARD)
        start[0].backward(start[1])
        self._relabel_gradients()
        if self._step.optimizer is not None:
            self._begin(OPTIMIZER)
            self._step.update()

    def _begin(self, phase: str) -> None:
        self._starts.append((phase, self._log.moment))

    def _relabel_saved(self) -> None:
        """What the forward pass leaves behind is there for the backward pass."""
        for place in self._log.alive():
            if self._log.kinds[place] == TEMPORARIES:
                self._log.kinds[place] = ACTIVATIONS

    def _relabel_gradients(self) -> None:
        for parameter, owner in self._parameters.items():
            if parameter.grad is not None:
                place = self._meter.place_of(parameter.grad)
                self._log.kinds[place], self._log.owners[place] = GRADIENTS, owner
        if self._step.input.grad is not None:
            self._log.kinds[self._meter.place_of(self._step.input.grad)] = GRADIENTS

    def _module_records(self) -> tuple[ModuleRecord, ...]:
        params = [0] * len(self._owners)
        for parameter, owner in self._parameters.items():
            params[owner] += parameter.numel()
        return tuple(
            ModuleRecord(
                name=owner.name,
                kind=type(owner.module).__name__,
                parent=owner.parent,
                is_leaf=next(owner.module.children(), None) is None,
                kernel_size=_kernel_size(owner.module),
                calls=owner.calls,
                input_shape=owner.input_shape,
                output_shape=owner.output_shape,
                params=params[number],
                macs_forward=owner.macs_forward,
                macs_step=owner.macs_step,
            )
            for number, owner in enumerate(self._owners)
        )


class _TracedNetworkStep(NetworkStep):
    """The step whose target turns out to have been there before."""

    meter: Meter

    def keep(self, make: Maker) -> Tensor:
        """What the objective keeps, which belongs to the base."""
        with self.meter.paused():
            kept = super().keep(make)
        size = kept.untyped_storage().nbytes()
        self.meter.bind(kept, self.meter.log.allocated_before(size, TARGET, MODEL))
        return kept


def _kernel_size(module: nn.Module) -> int | None:
    return module.kernel_size[0] if isinstance(module, nn.Conv2d) else None


def _checkpoint(owners: Owners, patterns: tuple[str, ...]) -> None:
    """Let the outermost modules that match run under checkpointing.

    Raises:
        UsageError: a pattern that matches no module.
    """
    names = [owner.name for owner in owners if owner.name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                "no module to checkpoint matches the pattern", got=pattern, allowed=names[:20]
            )
    chosen: list[str] = []
    for owner in owners:
        is_inside = any(owner.name.startswith(f"{outer}.") for outer in chosen)
        if is_inside or not any(fnmatchcase(owner.name, pattern) for pattern in patterns):
            continue
        chosen.append(owner.name)
        # Random numbers are not computed here, so that their state need not be kept.
        owner.module.forward = partial(
            checkpoint, owner.module.forward, use_reentrant=False, preserve_rng_state=False
        )


def _check_shape(input_shape: InputShape) -> None:
    sides = ("batch", "channels", "height", "width")
    if len(input_shape) != len(sides):
        raise UsageError("the input is no batch of images", got=input_shape, allowed="B, C, H, W")
    total = SINGLE
    for side, value in zip(sides, input_shape, strict=True):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"the input's {side} must be a whole number of at least 1", got=value)
        total *= value
    if total > LARGEST:
        raise _overflow(input_shape, "of the input")


def _overflow(input_shape: tuple[int, ...], where: str) -> UsageError:
    return UsageError(
        f"sizes overflow 64 bits {where}",
        got="x".join(map(str, input_shape)),
        allowed=f"up to {LARGEST:,} bytes",
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let nothing but one step happen; what is kept off is so for the whole process.

    No other trace, for all of them have their operations' results from one place. No garbage
    collection: blocks in cycles would go at moments that nothing decides. No compiler: what it makes of
    a part of a model looks at data. And no log of torch's own on what we report.
    """
    with _one_at_a_time:
        was_enabled, level = gc.isenabled(), _torch_log.level
        gc.disable()
        _torch_log.setLevel(logging.CRITICAL)
        try:
            with torch.compiler.set_stance("force_eager"):
                yield
        finally:
            _torch_log.setLevel(level)
            if was_enabled:
                gc.enable()


@contextmanager
def _explained(owners: Owners, input_shape: InputShape) -> Iterator[None]:
    """Say where a step could not be traced, and what to do instead."""
    try:
        yield
    except AabenchError:
        raise
    except Exception as error:  # a user's forward may raise anything
        where = "outside its modules" if owners.in_forward else "in its backward pass or update"
        if owners.failed is not None:
            owner = owners[owners.failed]
            where = f"in {owner.name or 'the model itself'} ({type(owner.module).__name__})"
        operation: Any = getattr(error, "func", None)
        if "overflow" in str(error):
            raise _overflow(input_shape, where) from error
        what = f"{type(error).__name__}: {error}"
        if operation is not None:
            what = f"the operation {operation} depends on the values of its input"
        raise UsageError(
            f"the step cannot be traced {where}: {what}",
            got="x".join(map(str, input_shape)),
            instead="measure it instead, or give it an input that it takes",
        ) from error
