"""One command that checks and measures everything on a CUDA machine: ``python -m benchmarks.gpu``."""
