"""Cards: GPUs that one need not have, read from one TOML file each.

Built-in cards come with the package. A file of the same shape, given by its path or put into the
folder of one's own cards, is a card as well; ``aabench list gpus`` shows them all.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aabench.cases.byte_size import parse_bytes
from aabench.cases.ceilings import RATES, Ceilings
from aabench.errors import UnknownName, UsageError

LAUNCH_S = 5e-6
"""Seconds of host work an operation where a card's file does not say: eager torch takes 3 to 10 µs to
dispatch an operator and launch its kernel, more on slow hosts. It is the host's figure, not the card's;
``aabench calibrate`` measures it."""

SMALL_CARD_BYTES = 48 * 2**30
SMALL_CARD_RESERVE_BYTES = 480 * 2**20
LARGE_CARD_RESERVE_BYTES = 768 * 2**20
"""What the driver keeps of the memory that nvidia-smi shows, where nobody has reported it. Reported were
451 MiB on a T4, 480 on an RTX 4090, 485 on an RTX 5090, 519 on an A100 40 GB, 768 on an A100 80 GB."""

LARGEST_CARD_FILE_BYTES = 1 << 16

Capability = tuple[int, int]

_KEYS = (
    "name",
    "devices",
    "compute_capability",
    "memory",
    "usable",
    "bandwidth_bytes_per_s",
    "rates_flops_per_s",
    "launch_s",
    "newest_torch",
    "sources",
)
_ARCHITECTURE = re.compile(r"sm_?(?P<major>\d{1,2})(?P<minor>\d)|(?P<dotted>\d{1,2}\.\d)")
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Card:
    """One kind of GPU.

    Attributes:
        key: what ``--gpu`` takes: the file's stem.
        name: in full.
        capability: compute capability, such as (8, 9).
        memory_bytes: as nvidia-smi shows it.
        usable_bytes: what a process can have of it, its CUDA context included: the driver keeps the
            rest. It is what torch names "total capacity" when it runs out of memory.
        bandwidth_bytes_per_s: of its memory; None if not known.
        rates_flops_per_s: FLOP/s of dense matrix products by format, sums in single precision; a
            format that it has no fast units for, or that is not known, is missing.
        launch_s: seconds of host work to start one operation.
        newest_torch: the last release whose wheels run on it, such as (2, 14); None: they still do.
        devices: the names by which torch calls it.
        sources: where each figure is from, by key of the file.
    """

    key: str
    name: str
    capability: Capability
    memory_bytes: int
    usable_bytes: int
    bandwidth_bytes_per_s: float | None = None
    rates_flops_per_s: Mapping[str, float] = field(default_factory=dict)
    launch_s: float = LAUNCH_S
    newest_torch: tuple[int, int] | None = None
    devices: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name_or_path: str) -> Card:
        """The card of a name, or the one in a TOML file.

        Raises:
            UsageError: no such card, or a file that is not one.
        """
        path = Path(name_or_path)
        if path.suffix == ".toml" or "/" in name_or_path:
            if not path.is_file():
                raise UsageError("no such card file", got=name_or_path, instead="aabench list gpus")
            return read_card(path)
        known = {path.stem: path for path in card_paths()}
        if name_or_path not in known:
            raise UnknownName("card", name_or_path, known)
        return read_card(known[name_or_path])

    @classmethod
    def of_device(cls, device_name: str) -> Card | None:
        """The card that torch calls by this name, such as ``NVIDIA A10``; None if none is known."""
        return next((card for card in known_cards() if device_name in card.devices), None)

    @classmethod
    def unlisted(cls, vram: str, arch: str) -> Card:
        """A card of which only memory and architecture are known: bytes are predicted, no times.

        Args:
            vram: its memory with a unit, such as ``12GiB``.
            arch: such as ``sm89`` or ``8.9``.

        Raises:
            UsageError: one of them is no such thing.
        """
        memory = parse_bytes(vram, "--vram")
        capability = parse_architecture(arch, "--arch")
        reserve = driver_reserve_bytes(memory)
        if memory <= reserve:
            raise UsageError(
                "--vram: less than the driver keeps for itself", got=vram, allowed="1GiB or more"
            )
        return cls(
            key=f"{vram.strip()}-{architecture_name(capability)}",
            name=f"a card of {vram.strip()}, {architecture_name(capability)}",
            capability=capability,
            memory_bytes=memory,
            usable_bytes=memory - reserve,
            sources={"memory": "--vram", "usable": "--vram less what drivers usually keep"},
        )

    @property
    def architecture(self) -> str:
        """Such as ``sm89``."""
        return architecture_name(self.capability)

    def ceilings(self) -> Ceilings | None:
        """What the card cannot exceed, by its file; None if that does not say."""
        if self.bandwidth_bytes_per_s is None or not self.rates_flops_per_s:
            return None
        return Ceilings(
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s,
            rates_flops_per_s=self.rates_flops_per_s,
            launch_s=self.launch_s,
            source=f"datasheet of {self.name}",
            is_measured=False,
        )

    def torch_problem(self, version: str) -> str | None:
        """Why a release of torch does not run on this card, in one sentence; None if it does."""
        found = _VERSION.match(version)
        if self.newest_torch is None or found is None:
            return None
        major, minor = self.newest_torch
        if (int(found[1]), int(found[2])) <= self.newest_torch:
            return None
        return (
            f"torch {version} has no kernels for {self.name} ({self.architecture}); "
            f"the last release that had them is {major}.{minor}"
        )


def chosen_card(gpu: str | None, vram: str | None, arch: str | None) -> Card | None:
    """The card that the flags name; None if they name none.

    Raises:
        UsageError: an unknown card, or flags that contradict each other.
    """
    if gpu is not None and (vram is not None or arch is not None):
        raise UsageError(
            "--gpu names a card, --vram and --arch describe one", instead="give either"
        )
    if gpu is not None:
        return Card.of(gpu)
    if vram is None and arch is None:
        return None
    if vram is None or arch is None:
        raise UsageError(
            "an unlisted card needs both --vram and --arch",
            instead="such as --vram 12GiB --arch sm89",
        )
    return Card.unlisted(vram, arch)


def architecture_name(capability: Capability) -> str:
    """``sm89`` for (8, 9)."""
    return "sm{}{}".format(*capability)


def parse_architecture(text: str, what: str) -> Capability:
    """The compute capability from ``sm89``, ``sm_89`` or ``8.9``.

    Raises:
        UsageError: none of these.
    """
    match = _ARCHITECTURE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{what}: not an architecture", got=text, allowed="sm89, sm_89 or 8.9")
    major, minor = (
        match["dotted"].split(".") if match["dotted"] else (match["major"], match["minor"])
    )
    capability = int(major), int(minor)
    if not (5, 0) <= capability < (20, 0):
        raise UsageError(f"{what}: no such architecture", got=text, allowed="sm50 to sm199")
    return capability


def driver_reserve_bytes(memory_bytes: int) -> int:
    """About what the driver keeps of the memory that nvidia-smi shows."""
    is_small = memory_bytes <= SMALL_CARD_BYTES
    return SMALL_CARD_RESERVE_BYTES if is_small else LARGE_CARD_RESERVE_BYTES


def known_cards() -> list[Card]:
    """All cards that have a name, built-in ones and one's own, by name."""
    return [read_card(path) for path in card_paths()]


def own_cards_folder() -> Path:
    """Where one's own cards are looked for: ``aabench/gpus`` in the folder of configuration files.

    That is ``$XDG_CONFIG_HOME``, or ``~/.config``.
    """
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "aabench" / "gpus"


def card_paths() -> Iterator[Path]:
    """The files of all cards by name; one's own take the place of built-in ones of the same name."""
    package = Path(__file__).resolve().parent.parent
    builtin = [package / "_data" / "profiles" / "gpus", package.parent / "profiles" / "gpus"]
    found: dict[str, Path] = {}
    for folder in (next(filter(Path.is_dir, builtin), None), own_cards_folder()):
        if folder is not None and folder.is_dir():
            found |= {path.stem: path for path in folder.glob("*.toml")}
    yield from (found[name] for name in sorted(found, key=_by_memory))


def _by_memory(name: str) -> tuple[str, int]:
    """Names in order, but 40 GB before 80 GB and either before 141."""
    stem, _, size = name.rpartition("-")
    digits = re.match(r"\d+", size)
    return stem, int(digits[0]) if digits else 0


def read_card(path: Path) -> Card:
    """Read one card file.

    Raises:
        UsageError: unreadable, broken TOML (the line is named), a figure that is missing, of the wrong
            kind or impossible.
    """
    values = _read_toml(path)
    for key in values:
        if key not in _KEYS:
            raise UnknownName(f"key in {path}", key, _KEYS)
    memory = _size(path, values, "memory")
    usable = _size(path, values, "usable") if "usable" in values else None
    if usable is None:
        usable = memory - driver_reserve_bytes(memory)
    if not 0 < usable <= memory:
        raise UsageError(
            f"{path}: usable must be above zero and at most memory",
            got=values.get("usable", usable),
        )
    return Card(
        key=path.stem,
        name=_text(path, values, "name"),
        capability=parse_architecture(
            _text(path, values, "compute_capability"), f"{path}: compute_capability"
        ),
        memory_bytes=memory,
        usable_bytes=usable,
        bandwidth_bytes_per_s=_number(path, values, "bandwidth_bytes_per_s", 1e9, 1e15),
        rates_flops_per_s=_rates(path, values),
        launch_s=_number(path, values, "launch_s", 1e-8, 1e-2)
        if "launch_s" in values
        else LAUNCH_S,
        newest_torch=_version(path, values) if "newest_torch" in values else None,
        devices=tuple(_texts(path, values, "devices")),
        sources=_sources(path, values),
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > LARGEST_CARD_FILE_BYTES:
            raise UsageError(f"{path}: too large for a card", got=f"{size:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: broken TOML: {error}") from error


def _given(path: Path, values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        raise UsageError(
            f"{path}: {key} is missing", instead="see the built-in cards for the keys of a card"
        )
    return values[key]


def _text(path: Path, values: Mapping[str, Any], key: str) -> str:
    value = _given(path, values, key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{path}: {key} must be text", got=value)
    return value


def _size(path: Path, values: Mapping[str, Any], key: str) -> int:
    size = parse_bytes(_text(path, values, key), f"{path}: {key}")
    if not 2**29 <= size <= 2**44:
        raise UsageError(f"{path}: {key} is impossible", got=values[key], allowed="512MiB to 16TiB")
    return size


def _number(
    path: Path, values: Mapping[str, Any], key: str, smallest: float, largest: float
) -> float:
    value = _given(path, values, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{path}: {key} must be a number", got=value)
    if not smallest <= value <= largest:  # false for NaN as well
        raise UsageError(
            f"{path}: {key} is impossible", got=value, allowed=f"{smallest:g} to {largest:g}"
        )
    return float(value)


def _rates(path: Path, values: Mapping[str, Any]) -> dict[str, float]:
    rates = _given(path, values, "rates_flops_per_s")
    if not isinstance(rates, dict):
        raise UsageError(f"{path}: rates_flops_per_s must be a table", got=rates)
    for key in rates:
        if key not in RATES:
            raise UnknownName(f"format in rates_flops_per_s of {path}", key, RATES)
    _given(path, rates, "fp32")
    return {key: _number(path, rates, key, 1e9, 1e18) for key in rates}


def _version(path: Path, values: Mapping[str, Any]) -> tuple[int, int]:
    text = _text(path, values, "newest_torch")
    match = _VERSION.fullmatch(text)
    if match is None:
        raise UsageError(f"{path}: newest_torch is no release", got=text, allowed='such as "2.14"')
    return int(match[1]), int(match[2])


def _texts(path: Path, values: Mapping[str, Any], key: str) -> list[str]:
    value = values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{path}: {key} must be a list of texts", got=value)
    return value


def _sources(path: Path, values: Mapping[str, Any]) -> dict[str, str]:
    sources = values.get("sources", {})
    if not isinstance(sources, dict) or not all(isinstance(item, str) for item in sources.values()):
        raise UsageError(f"{path}: sources must be a table of texts", got=sources)
    for key in sources:
        if key not in values:
            raise UnknownName(f"figure in sources of {path}", key, values)
    return sources
