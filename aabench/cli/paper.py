"""``aabench paper``: the papers' tables beside our own figures, and whether ours have moved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from aabench.cli.output import OutputFormat, prepare_stdout
from aabench.errors import EXIT_NO, UsageError

if TYPE_CHECKING:
    from aabench.published.comparison import Comparison
    from aabench.published.record import Moved


def paper_command(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TABLE",
            help="Tables such as aa-3 or sasa-1, or aa for all of a paper. (default: all)",
            show_default=False,
        ),
    ] = None,
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Say only whether our figures are the recorded ones; exit code 3 if not.",
        ),
    ] = False,
    counts: Annotated[
        bool,
        typer.Option(
            "--counts",
            help="Instead count the networks (of the tables, or all) by torch, by closed forms and "
            "by fvcore; takes minutes.",
        ),
    ] = False,
    format: Annotated[OutputFormat, typer.Option(help="What goes to standard output.")] = (
        OutputFormat.table
    ),
) -> None:
    """Print the papers' tables: what they print, what our networks cost, and why it differs.

    FLOPs are of one image forward, 2 a multiply-accumulate. Nothing runs but on the meta device.

    Example: aabench paper aa-3 sasa-1
    """
    from aabench.published.printed import rows_of

    if check and counts:
        raise UsageError("--check and --counts are two questions", instead="ask one at a time")
    asked = list(tables or ())
    rows_of(asked)  # a wrong name is refused before anything is counted
    prepare_stdout(format)
    if counts:
        _show_counts(asked, format)
    elif check:
        _check(asked, format)
    else:
        _show_tables(_compared(asked), format)


def _compared(tables: Sequence[str]) -> list[Comparison]:
    from aabench.published.comparison import compare
    from aabench.published.printed import rows_of

    with _progress(len(rows_of(tables)), "building and costing") as started:
        return list(compare(tables, started=started))


def _show_tables(comparisons: Sequence[Comparison], format: OutputFormat) -> None:
    from aabench.published.comparison import frame_of
    from aabench.report import paper_table, records

    if format is OutputFormat.table:
        paper_table.write_paper_tables(comparisons, sys.stdout)
    elif format is OutputFormat.md:
        paper_table.write_paper_markdown(comparisons, sys.stdout)
    elif format is OutputFormat.csv:
        records.write_csv(frame_of(comparisons), sys.stdout)
    else:
        records.write_json(frame_of(comparisons), sys.stdout)


def _show_counts(tables: Sequence[str], format: OutputFormat) -> None:
    from aabench.published.counters import compare_counters, counter_frame, subjects
    from aabench.report import counter_table, records

    networks = subjects(tables)
    with _progress(len(networks), "counting three times") as started:
        frame = counter_frame(compare_counters(networks, started=started))
    if format is OutputFormat.table:
        counter_table.write_counter_table(frame, sys.stdout)
    elif format is OutputFormat.md:
        counter_table.write_counter_markdown(frame, sys.stdout)
    elif format is OutputFormat.csv:
        records.write_csv(frame, sys.stdout)
    else:
        records.write_json(frame, sys.stdout)


def _check(tables: Sequence[str], format: OutputFormat) -> None:
    """Compare with the record.

    Raises:
        Exit: with code 3, a figure has moved.
    """
    from aabench.published.record import moved_figures, read_record

    comparisons = _compared(tables)
    moved = moved_figures(comparisons, read_record(), tables)
    _show_moved(moved, len(comparisons), format)
    if moved:
        print(
            "aabench: if the new figures are right, python -m aabench.published.record records them",
            file=sys.stderr,
        )
        raise typer.Exit(EXIT_NO)


def _show_moved(moved: Sequence[Moved], rows: int, format: OutputFormat) -> None:
    from aabench.published.record import MOVED_COLUMNS, moved_frame
    from aabench.report import lists, records

    if format is OutputFormat.csv:
        records.write_csv(moved_frame(moved), sys.stdout)
    elif format is OutputFormat.json:
        records.write_json(moved_frame(moved), sys.stdout)
    elif moved:
        cells = [[_cell(getattr(each, name)) for name in MOVED_COLUMNS] for each in moved]
        lists.write_list(MOVED_COLUMNS, cells, sys.stdout)
    else:
        print(f"our figures for all {rows} rows are the recorded ones")


def _cell(value: str | int | None) -> str:
    return f"{value:,}" if isinstance(value, int) else value or "nothing"


@contextmanager
def _progress(total: int, doing: str) -> Iterator[Callable[[str], None]]:
    """A bar on standard error if that is a terminal; the function it gives tells of the next."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from aabench.cli.error_console import error_console

    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    console = error_console()
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("", total=total)
        begun = 0

        def started(name: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, description=name)
            begun += 1

        yield started
