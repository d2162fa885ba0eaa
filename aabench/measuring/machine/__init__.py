"""This machine: what it can measure, what would disturb it, and what to do about each.

``examination`` looks, by probes in a process of their own; ``diagnosis`` judges what was seen and
looks at nothing.
"""
