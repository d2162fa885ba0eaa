"""Profiles: saved grids and settings in TOML files, built in or a person's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aabench.cases.axes import AXES, RIVALS
from aabench.errors import UnknownName, UsageError

LARGEST_PROFILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Profile:
    """A saved grid.

    Attributes:
        name: the file's stem.
        description: one line for ``aabench list profiles``.
        axes: axis values as written; flags override them one by one.
        settings: settings of the run as written.
    """

    name: str
    description: str = ""
    axes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def overridden(self, axes: dict[str, Any]) -> dict[str, Any]:
        """This profile's axes under given ones; a given dk takes the place of a kappa, and so on."""
        merged = dict(self.axes)
        for name, value in axes.items():
            if value is None:
                continue
            for pair in RIVALS:
                if name in pair:
                    merged = {key: old for key, old in merged.items() if key not in pair}
            merged[name] = value
        return merged


def find_profile(name: str) -> Profile:
    """The built-in profile of that name, or the profile in the TOML file at that path.

    Raises:
        UsageError: no such profile, or a file that is not one.
    """
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        if not path.is_file():
            raise UsageError("no such profile file", got=name, instead="see aabench list profiles")
        return read_profile(path)
    builtin = {path.stem: path for path in _builtin_paths()}
    if name not in builtin:
        raise UnknownName("profile", name, builtin)
    return read_profile(builtin[name])


def builtin_profiles() -> list[Profile]:
    """All profiles that come with the package."""
    return [read_profile(path) for path in _builtin_paths()]


def read_profile(path: Path) -> Profile:
    """Read one profile file.

    Raises:
        UsageError: unreadable, too large, broken TOML (the line is named), or a wrong key or type.
    """
    values = _read_toml(path)
    _check_keys(path, "a profile", values, ("description", "axes", "settings"))
    description = values.get("description", "")
    if not isinstance(description, str):
        raise UsageError(f"{path}: description must be text", got=description)
    tables: dict[str, dict[str, Any]] = {}
    for table in ("axes", "settings"):
        found = values.get(table, {})
        if not isinstance(found, dict):
            raise UsageError(
                f"{path}: {table} must be a table", got=found, instead=f"write [{table}]"
            )
        tables[table] = found
    _check_keys(path, "[axes]", tables["axes"], AXES)
    for name, value in tables["axes"].items():
        _check_value(path, name, value)
    return Profile(path.stem, description, tables["axes"], tables["settings"])


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > LARGEST_PROFILE_BYTES:
            raise UsageError(
                f"{path}: too large for a profile",
                got=f"{size:,} bytes",
                allowed=f"up to {LARGEST_PROFILE_BYTES:,}",
            )
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: broken TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply for a profile") from error


def _check_keys(path: Path, where: str, found: dict[str, Any], known: Any) -> None:
    for key in found:
        if key not in known:
            raise UnknownName(f"key in {where} of {path}", key, known)


def _check_value(path: Path, name: str, value: object) -> None:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, str | int | float | bool):
            raise UsageError(
                f"{path}: axis {name} has a value of the wrong type",
                got=item,
                allowed="a number, text, or a list of them",
            )


def _builtin_paths() -> Iterator[Path]:
    """Installed packages carry the profiles inside; a checkout has them at its top."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_data" / "profiles", package.parent / "profiles"):
        if folder.is_dir():
            yield from sorted(folder.glob("*.toml"))
            return
