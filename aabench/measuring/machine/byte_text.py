"""Bytes as a finding's text shows them."""


def gib(size: int) -> str:
    """Bytes in GiB, with one decimal."""
    return f"{size / 2**30:.1f} GiB"
