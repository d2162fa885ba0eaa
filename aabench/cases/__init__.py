"""What is measured: cases, axes, grids and profiles. Imports nothing heavy."""
