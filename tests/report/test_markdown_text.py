"""Markdown: cells that show what they hold, by a Markdown parser of others."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aabench.report.markdown_text import markdown_row

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(cells: list[str]) -> list[str]:
    """The text of each cell of a one-row table, as a reader sees it."""
    table = markdown_row(["head"] * len(cells)) + "|" + "--|" * len(cells) + "\n"
    tokens = PARSER.parse(table + markdown_row(cells))
    inline = [token.children for token in tokens if token.type == "inline"][len(cells) :]
    for children in inline:
        assert {child.type for child in children or ()} <= {"text", "text_special"}
    return ["".join(child.content for child in children or ()) for children in inline]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.text(st.sampled_from("\\`*_#[]()|~<>&;!-+ab3 \n") | st.characters(codec="utf-8")),
        min_size=1,
        max_size=3,
    )
)
@example(["layer[34].*.conv1 and layer4.*.conv2", "my_form__x_", "~3.36", "~~gone~~ &lt; <b>"])
@example(["~1 ~2", "a|b", "`code`", "\\|"])
def test_a_cell_shows_what_it_holds(cells: list[str]) -> None:
    plain = ["".join(c for c in cell if c.isprintable() or c.isspace()) for cell in cells]
    assert shown(plain) == [" ".join(cell.split()) for cell in plain]


def test_names_stay_readable_in_the_source() -> None:
    assert markdown_row(["aa-wrn28-10", "in_channels", "~3.36"]) == (
        "| aa-wrn28-10 | in_channels | ~3.36 |\n"
    )
