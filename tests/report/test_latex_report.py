"""LaTeX: whatever a cell holds prints as it is, and the tables have the shape that LaTeX wants."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic_frames import every_status, quick_frame, sweep_frame

from aabench.report.aligned_text import one_line
from aabench.report.latex_report import MOST_ROWS_OF_A_PAGE, write_latex_report
from aabench.report.latex_text import latex_text
from aabench.report.printed_report import printed_report

PRINTED = {
    "textbackslash": "\\",
    "textasciicircum": "^",
    "textasciitilde": "~",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textasciigrave": "`",
    "textquotedbl": '"',
    "textendash": "–",
    "textemdash": "—",
    "ldots": "…",
    "textperiodcentered": "·",
    "textdegree": "°",
    "textmu": "µ",
    "pm": "±",
    "times": "×",
    "rightarrow": "→",
    "approx": "≈",
    "leq": "≤",
    "geq": "≥",
}
"""What LaTeX prints for a command, by its manual."""

TOKEN = re.compile(
    r"""\$\\(?P<symbol>[a-z]+)\$ | \\(?P<command>[a-z]+)\{\} | \\(?P<escaped>[{}$&\#%_])
    | \{(?P<grouped>[^\\{}]?)\} | (?P<plain>[^\\{}$&\#%_^~])""",
    re.VERBOSE,
)


def as_printed(latex: str) -> str:
    """What LaTeX would print; fails on a character that would do something else."""
    assert not re.search(r"--|''|,,|``|\n|(?<!\{)\[|(?<!\{)\*", latex)
    printed, place = [], 0
    while place < len(latex):
        token = TOKEN.match(latex, place)
        assert token, f"LaTeX would not print {latex[place:]!r}"
        name = token["symbol"] or token["command"]
        printed.append(PRINTED[name] if name else token[token.lastgroup])
        place = token.end()
    return "".join(printed)


def written(frame: pd.DataFrame) -> str:
    stream = io.StringIO()
    write_latex_report(printed_report(frame), stream)
    return stream.getvalue()


@settings(deadline=None, max_examples=150)
@given(st.text(st.sampled_from("\\{}$&#%_^~<>|`'\"[]*-,–—…·°µ±×→≈≤≥ aZ1\n\x1b") | st.characters()))
@example("--seconds-per-case 5 & 50 % of layer[3].*_conv^2 #1 {x} \\end{table} ~/$HOME")
def test_any_text_prints_as_it_is(text: str) -> None:
    assert as_printed(latex_text(text)) == one_line(text)


@pytest.mark.parametrize("make", [quick_frame, every_status])
def test_every_row_has_as_many_cells_as_the_head(make: object) -> None:
    assert callable(make)
    frame = make()
    text = written(frame)
    table = text.partition(r"\end{table}")[0]
    rows = [line for line in table.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 1 + len(frame)
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [
        text.count(r"\begin{tabular}")
    ] * 3


def test_units_stand_in_the_head_and_spreads_beside_the_figures() -> None:
    text = written(quick_frame())
    assert "time / ms & peak / MiB & FLOPs / GFLOP & params / k & time vs plain" in text
    assert r"2 & 14$\times$14 & infer & materialized & ok & 7.01 $\pm$ 0.11 & 3.95" in text
    assert r"asked for 0.4 GiB with 0.9 GiB free" in text


def test_names_of_users_survive() -> None:
    frame = sweep_frame(heads=(2,), modes=("infer",))
    frame["attention"] = frame["attention"].replace("broadcast", r"my_forms:50%&\end#{table}")
    text = written(frame)
    assert r"my\_forms:50\%\&\textbackslash{}end\#\{table\}" in text
    assert text.count(r"\end{table}") == text.count(r"\begin{table}")


def test_comments_stay_on_their_line() -> None:
    frame = quick_frame()
    frame.attrs["name"] = "mine\n\\input{/etc/passwd}"
    lines = written(frame).splitlines()
    assert next(line for line in lines if "passwd" in line).startswith("% mine ")


def test_a_long_table_goes_over_several_pages() -> None:
    frame = pd.concat([quick_frame(), quick_frame().assign(batch=2)])
    assert len(quick_frame()) <= MOST_ROWS_OF_A_PAGE < len(frame)
    assert "longtable" not in written(quick_frame())
    text = written(frame)
    assert r"\usepackage{longtable}" in text.splitlines()[0]
    assert text.index(r"\caption") < text.index(r"\endhead") < text.index(r"\endlastfoot")
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
