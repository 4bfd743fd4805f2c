"""Figures for people: the table, as text and as Markdown, and the chart of the ratios, as text and as an SVG."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from bench.baseline import VERSION
from bench.figures import TARGETS, reached

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.figures import Figure

__all__ = ["HEADINGS", "bars", "chart", "markdown", "rounded", "table"]

HEADINGS = ("", "unit", "Deltaic", VERSION, "factor", "beside", "ratio", "rounds", "target", "reached")
LEFT = {0, 1, 9}
WHOLE = 50  # characters of a bar that says: as fast as raw Valkey
CHART_WIDTH = 120
MARK = "┃"
TITLE = f"requests a second, as a share of raw Valkey's; {MARK} is that of {VERSION}"


def table(figures: Iterable[Figure]) -> Table:
    """For a terminal."""
    columns = [Column(name, justify="left" if i in LEFT else "right", no_wrap=i > 0) for i, name in enumerate(HEADINGS)]
    shown = Table(*columns, box=SIMPLE_HEAD)
    for figure in figures:
        *cells, verdict = _row(figure)
        shown.add_row(*cells, Text(verdict, style=_colour(figure)))
    return shown


def markdown(figures: Iterable[Figure]) -> str:
    """The same table; what stands beside is named where it is no raw Valkey."""
    rules = ["---" if i in LEFT else "---:" for i in range(len(HEADINGS))]
    rows: list[Sequence[str]] = [("measured", *HEADINGS[1:]), rules, *map(_row, figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    target, verdict, spread = TARGETS.get(figure.name), reached(figure), figure.spread
    return (
        figure.what + (f" (beside: {figure.against})" if figure.other and figure.against != "raw Valkey" else ""),
        figure.unit,
        rounded(figure.ours_median),
        "" if figure.base_median is None else rounded(figure.base_median),
        "" if figure.factor is None else f"{figure.factor:.2f}",
        "" if figure.other_median is None else rounded(figure.other_median),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if spread is None else " to ".join(map(rounded, spread)),
        "" if target is None else str(target),
        "" if verdict is None else "yes" if verdict else "no",
    )


def rounded(value: float) -> str:
    """With as many digits as can be meant.

    >>> rounded(98765.4), rounded(12.345), rounded(0.01234)
    ('98 765', '12.3', '0.0123')
    """
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def bars(figures: Iterable[Figure]) -> Text:
    """A bar for each rate that has raw Valkey's beside it."""
    shown = [figure for figure in figures if figure.unit == "requests/s" and figure.ratio is not None]
    width = max((len(figure.what) for figure in shown), default=0)
    return Text("\n").join([Text(TITLE), Text(), *(_bar(figure, width) for figure in shown)] if shown else [])


def _bar(figure: Figure, width: int) -> Text:
    ratio = figure.ratio or 0.0
    length = min(round(ratio * WHOLE), WHOLE)
    bar = Text("▇" * length + "·" * (WHOLE - length), style=_colour(figure))
    if figure.factor:
        mark = round(ratio / figure.factor * WHOLE)
        bar = Text.assemble(bar[:mark], (MARK, "bold"), bar[mark + 1 :])
    return Text.assemble(f"{figure.what:<{width}}  ", bar, f"  {ratio:.2f}")


def _colour(figure: Figure) -> str:
    return {True: "green", False: "red", None: "blue"}[reached(figure)]


def chart(figures: Iterable[Figure]) -> str:
    """The bars as an SVG."""
    console = Console(record=True, width=CHART_WIDTH, file=StringIO())
    console.print(bars(figures))
    return console.export_svg(title="Deltaic beside raw Valkey")
