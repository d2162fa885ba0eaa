"""The kernels: the closed vocabulary of the column ``kernel``, and what each name means."""

from __future__ import annotations

KERNELS = {
    "flash": "torch's flash attention, of the CPU or of CUDA: no map",
    "memory-efficient": "torch's memory-efficient attention: no map of its own",
    "cudnn": "cuDNN's fused attention: no map",
    "math": "torch's unfused fallback: full maps",
    "matmul": "products and a softmax of their own, over full maps or block by block",
    "inductor": "code that torch.compile made, FlexAttention included",
    "triton": "hand-written Triton kernels",
    "triton-interpreter": "these in Triton's interpreter, on the CPU: right numbers, times that mean nothing",
    "other": "none of these",
}
"""What can compute an attention; layers or calls that take several join them by ``+``."""
