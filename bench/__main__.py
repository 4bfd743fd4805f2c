"""The program: `python -m bench --cases incr-p1,get-p16 --rounds 5`.

Exit codes: 0 measured (whether targets are reached or not), 1 to 3 as of the errors in `crdt_core.errors`, 130 Ctrl-C,
143 SIGTERM. However it ends, what it has started ends first, and what was measured until then is shown and kept.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from bench.baseline import VERSION
from bench.cases import CASES
from bench.load import tool
from bench.machine import busy, commit, described
from bench.options import Options
from bench.processes import Site
from bench.program import run_command
from bench.report import bars, rounded, table
from bench.results import Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.status import Status

    from bench.figures import Figure

WIDTH = 140  # where there is no terminal
QUICK = {"rounds": 1, "seconds": 0.02, "members": 2000, "probes": 10}


class CaseNames(click.ParamType[list[str]]):
    """Names of cases, separated by commas; all of them if there is none."""

    name = "names"

    def convert(self, value: str | list[str], param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        named = value.replace(",", " ").split() if isinstance(value, str) else value
        unknown = [name for name in named if name not in CASES]
        if unknown:
            self.fail(f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}", param, ctx)
        return list(dict.fromkeys(named)) or list(CASES)


class Bench:
    """One run: measures case by case, says what it does, keeps what it has."""

    def __init__(self, output: Path | None, page: Path | None) -> None:
        self._say = Console(stderr=True, highlight=False)
        self._output, self._page = output, page
        self._results = None if output is None else Results.read(output)
        self._figures: list[Figure] = []

    def run(self, names: list[str], rounds: int, seconds: float, members: int, probes: int) -> None:
        load = busy()
        if load is not None:
            self._say.print(f"this machine is busy (load {load:.1f}): figures will mean little", style="yellow")
        for number, name in enumerate(names, 1):
            with self._say.status("") as status, Site() as site:
                title = f"{number}/{len(names)} {name}"
                options = Options(rounds, seconds, members, probes, partial(_show, status, title))
                options.progress("starting")
                self._take(name, list(CASES[name].measure(site, options)))

    def _take(self, name: str, figures: list[Figure]) -> None:
        for figure in figures:
            beside = "" if figure.ratio is None else f", {figure.ratio:.2f} of {figure.against}"
            beside += "" if figure.factor is None else f", {figure.factor:.2f} times {VERSION}"
            self._say.print(f"{figure.what}: {rounded(figure.ours_median)} {figure.unit}{beside}", soft_wrap=True)
        self._figures += figures
        if self._results is not None and self._output is not None:
            self._results.put(name, figures)
            self._results.write(self._output, self._page)

    def report(self) -> None:
        """All that was measured, on standard output."""
        if not self._figures:
            return
        out = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
        out.print(table(self._figures))
        out.print(bars(self._figures))
        out.print(f"\ncommit {commit()}; " + "; ".join(f"{what} {value}" for what, value in described().items()))


def _show(status: Status, title: str, doing: str) -> None:
    status.update(f"{title}: {doing}")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--cases", type=CaseNames(), default="", help="Names, separated by commas; default: all. See --list.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Counted rounds of each case.")
@click.option("--seconds", type=click.FloatRange(0.01), default=1.5, show_default=True, help="About, of a round.")
@click.option("--members", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Of a large set.")
@click.option("--probes", type=click.IntRange(2), default=500, show_default=True, help="Of a latency, in each round.")
@click.option("--quick", is_flag=True, help="One tiny round of everything: whether it works, not how fast it is.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Directory that keeps the results.")
@click.option("--page", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Page to put the table in.")
@click.option("--list", "listed", is_flag=True, help="Only name the cases.")
def bench(
    *,
    cases: list[str],
    rounds: int,
    seconds: float,
    members: int,
    probes: int,
    output: Path | None,
    page: Path | None,
    quick: bool,
    listed: bool,
) -> None:
    """Measure Deltaic beside a raw Valkey on this machine."""
    if page is not None and output is None:
        raise click.UsageError("--page needs --output: the page shows what is kept there")
    if listed:
        for name, case in CASES.items():
            click.echo(f"{name:<18} {case.what}")
        return
    tool()
    sizes: dict[str, Any] = {"rounds": rounds, "seconds": seconds, "members": members, "probes": probes}
    run = Bench(output, page)
    try:
        run.run(cases, **(QUICK if quick else sizes))
    finally:
        run.report()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code."""
    return run_command(bench, "python -m bench", arguments)


if __name__ == "__main__":
    sys.exit(main())
