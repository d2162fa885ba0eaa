"""Speed and memory of aabench itself and of its forms; run with ``python -m benchmarks.NAME``."""
