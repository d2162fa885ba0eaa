"""The toolchain: the compilers and headers that torch.compile and Triton need on this machine."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What there is to compile with.

    Attributes:
        cpp_name: the C++ compiler that torch.compile would call on the CPU.
        cpp_path: where it is; None if it is not there.
        c_path: where the C compiler is that Triton would call; None if there is none.
        has_python_headers: whether there is a ``Python.h``, which both of them include.

    """

    cpp_name: str
    cpp_path: str | None
    c_path: str | None
    has_python_headers: bool


def find_toolchain(
    variables: Mapping[str, str] = os.environ, headers: Path | None = None
) -> Toolchain:
    """Look where torch and Triton look: the variables CXX and CC, then the search path.

    Args:
        variables: of the environment.
        headers: the folder of Python's own headers; None: this Python's.

    """
    headers = Path(sysconfig.get_path("include")) if headers is None else headers
    search = variables.get("PATH")
    cpp_name = variables.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    c_names = [variables["CC"]] if variables.get("CC") else ["gcc", "clang"]
    found = (shutil.which(name, path=search) for name in c_names)
    return Toolchain(
        cpp_name=cpp_name,
        cpp_path=shutil.which(cpp_name, path=search),
        c_path=next(filter(None, found), None),
        has_python_headers=(headers / "Python.h").is_file(),
    )
