"""Figures for people: the table, as text and as Markdown, and the chart of ratios, which is also kept as an SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from bench.figures import TARGETS, reached

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.figures import Figure

__all__ = ["markdown", "number", "table"]

HEADINGS = ("", "unit", "ours", "beside", "ratio", "target", "reached")


def table(figures: Iterable[Figure]) -> Table:
    """For a terminal."""
    columns = [
        Column(heading, justify="left" if i in {0, 1, 6} else "right", no_wrap=True)
        for i, heading in enumerate(HEADINGS)
    ]
    shown = Table(*columns, box=SIMPLE_HEAD)
    for figure in figures:
        *cells, verdict = _row(figure)
        shown.add_row(*cells, Text(verdict, style="red" if reached(figure) is False else "green"))
    return shown


def markdown(figures: Iterable[Figure]) -> str:
    """A table."""
    rows: list[Sequence[str]] = [("measured", *HEADINGS[1:]), ("---", "---", *["---:"] * 4, "---")]
    return "".join(f"| {' | '.join(row)} |\n" for row in (*rows, *map(_row, figures)))


def _row(figure: Figure) -> tuple[str, ...]:
    target, verdict = TARGETS.get(figure.name), reached(figure)
    return (
        figure.what,
        figure.unit,
        number(figure.ours_median),
        "" if figure.raw_median is None else number(figure.raw_median),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if target is None else str(target),
        "" if verdict is None else "yes" if verdict else "no",
    )


def number(value: float) -> str:
    """With as many digits as can be meant.

    >>> number(98765.4), number(12.345), number(0.01234)
    ('98 765', '12.3', '0.0123')
    """
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"
