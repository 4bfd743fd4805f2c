"""The program: `python -m bench --cases incr-p1,get-p16 --rounds 5`.

Exit codes: 0 measured (targets reached or not), 2 a wrong argument, 3 something that is needed is missing or failed,
130 Ctrl-C, 143 SIGTERM. However it ends, the processes it started end first.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.cases import CASES, Options
from bench.load import tool, tool_version
from bench.processes import Site
from bench.report import table
from crdt_core.errors import DeltaicError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from bench.figures import Figure

KEYS = 10_000


class CaseNames(click.ParamType[list[str]]):
    """Names of cases, separated by commas."""

    name = "names"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        names = list(dict.fromkeys(name for name in value.replace(",", " ").split() if name))
        unknown = [name for name in names if name not in CASES]
        if unknown:
            self.fail(f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}", param, ctx)
        return names or list(CASES)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--cases", type=CaseNames(), default="", help=f"Separated by commas; default: all: {', '.join(CASES)}.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Counted rounds of each case.")
@click.option("--seconds", type=click.FloatRange(0.01), default=1.5, show_default=True, help="About, of a round.")
@click.option("--members", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Of a large set.")
@click.option("--probes", type=click.IntRange(2), default=500, show_default=True, help="Of a latency, each round.")
@click.option("--quick", is_flag=True, help="One tiny round of everything: whether it works, not how fast.")
def bench(cases: list[str], rounds: int, seconds: float, members: int, probes: int, *, quick: bool) -> None:
    """Measure Deltaic beside a raw Valkey on this machine."""
    console = Console(stderr=True)
    tool()
    with console.status("") as status:
        shown: list[str] = [""]

        def progress(text: str) -> None:
            status.update(f"{shown[0]}: {text}")

        if quick:
            rounds, seconds, members, probes = 1, 0.02, 2000, 10
        options = Options(rounds, seconds, KEYS, members, probes, progress)
        figures: list[Figure] = []
        for name in cases:
            shown[0] = name
            with Site() as site:
                figures.extend(CASES[name].measure(site, options))
    out = Console(width=None if sys.stdout.isatty() else 120)
    out.print(table(figures))
    out.print(f"{tool_version()}, {rounds} rounds")


def main(arguments: Sequence[str] | None = None) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        bench.main(arguments, prog_name="python -m bench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except DeltaicError as error:
        click.echo(f"bench: {error}", err=True)
        return error.exit_code
    return 0


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
