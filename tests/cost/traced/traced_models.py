"""Small models for the tests of traced prediction, and real steps of them on this CPU."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aabench.cost.traced.network_step import NetworkStep
from aabench.cost.traced.step_settings import StepSettings
from aabench.layers.augmented_convolution import AugmentedConv2d
from aabench.measuring.cpu_memory import measure_cpu_memory
from aabench.measuring.memory import MemoryMeasurement
from aabench.networks.building import build_network

CPU_FILE = Path("/proc/cpuinfo")
CPU_FLAGS = CPU_FILE.read_text().split() if CPU_FILE.exists() else []

known_copies = pytest.mark.skipif(
    "avx512f" not in CPU_FLAGS, reason="the copies that oneDNN makes are known for AVX-512"
)


def known_half_precision(precision: str) -> bool:
    """Whether this CPU's scratch in bfloat16 is known."""
    is_native = "avx512_bf16" in CPU_FLAGS and "amx_tile" not in CPU_FLAGS
    return "bf16" not in precision or is_native


def debug_network(form: str = "blocked") -> nn.Module:
    """The tiny augmented ResNet at 32 px."""
    return build_network("aa-debug-resnet", resolution=32, attention=form)


class Attentive(nn.Module):
    """Two augmented convolutions with large maps, so that the attention is the peak."""

    def __init__(self, form: str, position: str = "relative", heads: int = 2) -> None:
        super().__init__()
        self.first = nn.Sequential(
            AugmentedConv2d(
                3, 16, dk=8, dv=8, heads=heads, attention=form, position=position, resolution=18
            ),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.second = AugmentedConv2d(
            16, 24, dk=8, dv=4, heads=heads, attention=form, position=position, resolution=18
        )
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 18, 18) to (B, 5)."""
        return self.head(self.second(self.first(x)).relu().mean((2, 3)))


class Pyramid(nn.Module):
    """Several maps as output, in a dictionary of lists; a shared head runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.down = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=4)
        self.head = nn.Conv2d(16, 20, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        """(B, 3, H, W) to maps of two sizes."""
        fine = self.stem(x).relu()
        return {"maps": [self.head(fine), self.head(self.down(fine))]}


def measured(
    model: nn.Module, shape: tuple[int, int, int, int], settings: StepSettings
) -> MemoryMeasurement:
    """The allocator's events of a real step; the model is used up."""
    torch.manual_seed(0)
    model = model.to(settings.dtype).to(memory_format=settings.layout)
    for name, module in model.named_modules():
        if any(fnmatchcase(name, pattern) for pattern in settings.checkpointed):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    x = torch.randn(shape, dtype=settings.dtype).to(memory_format=settings.layout)
    step = NetworkStep(model, x, settings)
    return measure_cpu_memory(step, step.base_tensors)
