"""LaTeX: text that prints as it is, whatever it holds."""

from __future__ import annotations

import re

from aabench.report.aligned_text import one_line

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    # After the end of a row, a star or a bracket would be taken for an option of it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "·": r"\textperiodcentered{}",
    "°": r"\textdegree{}",
    "µ": r"\textmu{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
}
"""What stands for a character that means something else to LaTeX, or that its fonts may lack."""

_TABLE = str.maketrans(_COMMANDS)

_LIGATURE = re.compile(r"([-',])(?=\1)")
"""Two of these become one other sign, as the hyphens of a flag would a dash."""


def latex_text(text: str) -> str:
    """Text on one line that LaTeX prints as it is, within a cell or a sentence.

    Letters beyond ASCII stay; names in other scripts want LuaLaTeX or XeLaTeX.
    """
    return _LIGATURE.sub(r"\1{}", one_line(text).translate(_TABLE))
