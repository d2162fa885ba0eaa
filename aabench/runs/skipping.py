"""Skipping: a CPU case that is predicted not to fit this machine is not run."""

from __future__ import annotations

from aabench.errors import AabenchError
from aabench.measuring.available_memory import available_bytes

SKIP_SHARE = 0.8
"""A CPU case predicted to need more than this share of the available memory is not run."""


class TooLarge(AabenchError):
    """A case is predicted not to fit this machine."""


def too_large_here(predicted_bytes: int) -> str | None:
    """Why a case of so many bytes must not run here, None if it may."""
    available = available_bytes()
    if predicted_bytes <= SKIP_SHARE * available:
        return None
    return (
        f"predicted to need {predicted_bytes:,} bytes, more than {SKIP_SHARE:.0%} of the "
        f"{available:,} bytes available on this machine"
    )
