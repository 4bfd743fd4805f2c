"""The results that are kept: `results.json`, and `results.md` and `chart.svg` made of it.

A run replaces the figures of its own cases and leaves the others, as long as the machine and the versions are the same;
every figure keeps the commit that it was measured at. The table can also stand in a page, between two markers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ValidationError

from bench.cases import CASES
from bench.errors import ResultsUnreadable
from bench.figures import Figure  # noqa: TC001  pydantic reads the annotations
from bench.machine import commit, described
from bench.report import chart, markdown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BEGIN", "CHART", "END", "FILE", "TABLE", "Results"]

FILE, TABLE, CHART = "results.json", "results.md", "chart.svg"
BEGIN, END = "<!-- begin of results, written by `make bench` -->", "<!-- end of results -->"


class Kept(BaseModel):
    """The figures of one case, and when and at which commit they were measured."""

    case: str
    commit: str
    date: str
    figures: list[Figure]


class Results(BaseModel):
    """What was measured on one machine, in the order of the cases."""

    machine: dict[str, str]
    cases: list[Kept]

    @classmethod
    def read(cls, directory: Path) -> Self:
        """What `directory` keeps of this machine and these versions: nothing if it is about others."""
        here = cls(machine=described(), cases=[])
        file = directory / FILE
        if not file.exists():
            return here
        try:
            kept = cls.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise ResultsUnreadable(str(file), f"{error.error_count()} errors") from None
        return kept if kept.machine == here.machine else here

    def put(self, case: str, figures: list[Figure]) -> None:
        """Replaces what is kept of `case`."""
        names = list(CASES)
        now = Kept(case=case, commit=commit(), date=datetime.now(UTC).strftime("%Y-%m-%d"), figures=figures)
        others = [kept for kept in self.cases if kept.case != case and kept.case in CASES]
        self.cases = sorted([*others, now], key=lambda kept: names.index(kept.case))

    def write(self, directory: Path, page: Path | None = None) -> None:
        """All files, and the table in `page`; raises `ResultsUnreadable` if that has no markers."""
        directory.mkdir(parents=True, exist_ok=True)
        figures = [figure for kept in self.cases for figure in kept.figures]
        (directory / FILE).write_text(self.model_dump_json(indent=1) + "\n", "utf-8")
        (directory / TABLE).write_text(self._described(), "utf-8")
        (directory / CHART).write_text(chart(figures), "utf-8")
        if page is not None:
            page.write_text(between_markers(page, self._described()), "utf-8")

    def _described(self) -> str:
        machine = "; ".join(f"{what} {value}" for what, value in self.machine.items())
        made = ", ".join(dict.fromkeys(f"{kept.commit} ({kept.date})" for kept in self.cases))
        table = markdown(figure for kept in self.cases for figure in kept.figures)
        return f"Measured at {made}.\n\nMachine: {machine}.\n\n{table}"


def between_markers(page: Path, text: str) -> str:
    """The content of `page` with `text` between the markers."""
    content = page.read_text("utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ResultsUnreadable(str(page), f"there is no {BEGIN} with {END} behind it")
    return f"{before}{begin}\n\n{text}\n{end}{after}"
