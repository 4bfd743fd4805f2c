"""Chooses what to show by the width of the terminal: a table that has to squeeze its cells cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

__all__ = ["FirstThatFits"]

_ANY_WIDTH = 10_000


class FirstThatFits:
    """Shows the first of `variants` that is no wider than the terminal; the last one where none is."""

    def __init__(self, *variants: RenderableType) -> None:
        self._variants = variants

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=_ANY_WIDTH)
        widths = (Measurement.get(console, unbounded, variant).maximum for variant in self._variants)
        fitting = (variant for variant, width in zip(self._variants, widths, strict=True) if width <= options.max_width)
        yield next(fitting, self._variants[-1])
