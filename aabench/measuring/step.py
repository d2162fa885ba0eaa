"""The step: what every measurement here runs, one unit of work that can be repeated."""

from __future__ import annotations

from typing import Protocol


class Step(Protocol):
    """One repeatable unit of work on one device: a forward pass, or a whole training step."""

    def run(self) -> object:
        """Do the work once. What it returns is dropped at once."""

    def reset(self) -> None:
        """Undo what a run leaves behind, such as gradients; never called inside the clock."""
