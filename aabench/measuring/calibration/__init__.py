"""Measuring what a machine can do at best."""
