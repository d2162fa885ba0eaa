"""Measuring: latency, memory, energy, the device and the environment.

Knows callables, tensors and devices only, nothing of layers or run folders. Importing this package
imports nothing heavy; the files that need torch or pynvml say so.
"""
