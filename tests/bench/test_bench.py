"""The benchmark programme runs, keeps what it has measured, and leaves nothing behind. No figure is looked at."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from bench.baseline import unpack
from bench.errors import BaselineMissing, ProcessFailed, ResultsUnreadable
from bench.figures import TARGETS, Figure, Target, reached
from bench.load import TOOLS, Load, run
from bench.processes import Site
from bench.report import HEADINGS, chart, markdown
from bench.results import BEGIN, CHART, END, FILE, TABLE, Results
from tests.support import give_up, wait_until

ROOT = Path(__file__).parents[2]


def bench(*arguments: str | Path, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def load_generator():
    if not any(map(shutil.which, TOOLS)):
        give_up(f"neither of {TOOLS} is installed")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    return file


def test_it_measures_and_keeps_the_results_with_their_machine_and_commit(load_generator, page: Path, tmp_path: Path):
    output = tmp_path / "results"
    program = bench("--quick", "--cases", "incr-p1,latency", "--output", output, "--page", page)
    out, error = program.communicate(timeout=120)
    assert program.returncode == 0, error
    assert "INCR, pipeline 1" in out

    kept = orjson.loads((output / FILE).read_bytes())
    assert {"processor", "cores", "kernel", "Python", "server", "libraries"} <= set(kept["machine"])
    assert [case["case"] for case in kept["cases"]] == ["incr-p1", "latency"]
    figures = [figure for case in kept["cases"] for figure in case["figures"]]
    assert {"incr-p1", "incr-p1-p99", "latency-idle", "latency-commit"} <= {figure["name"] for figure in figures}
    assert all(figure["ours"] and figure["ours_median"] > 0 for figure in figures if figure["name"] != "latency-commit")
    assert [bool(figure["base"]) for figure in figures if figure["name"].startswith("incr")] == [True, True]
    assert all(re.fullmatch(r"[0-9a-f]{7,}\+?|unknown", case["commit"]) for case in kept["cases"])

    table = (output / TABLE).read_text("utf-8")
    assert page.read_text("utf-8") == f"before\n{BEGIN}\n\n{table}\n{END}\nafter\n"
    assert (output / CHART).read_text("utf-8").startswith("<svg")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_it_has_started_ends_with_it(load_generator, ending: signal.Signals):
    program = bench("--seconds", "60", "--cases", "incr-p1-peer", start_new_session=True)
    # Two nodes with a server each, the same of the baseline, a raw server and the load generator: each leads a process
    # group of its own.
    started = wait_until(lambda: found if len(found := descendants(program.pid)) == 10 else None, 60, "its processes")
    program.send_signal(ending)
    program.communicate(timeout=60)
    assert program.returncode == 128 + ending
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def descendants(pid: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text("ascii").split():
            found += [int(child), *descendants(int(child))]
    return found


def test_a_process_that_has_ended_is_noticed_though_the_load_generator_waits_for_it_for_ever(load_generator):
    with Site() as site:
        server = site.server()
        server.stop()
        with pytest.raises(ProcessFailed, match="Valkey of raw ended with 0"):
            run(server, Load(("INCR", "hits")), 1000)


def test_an_error_reply_is_no_measurement(load_generator):
    with Site() as site, pytest.raises(ProcessFailed, match="unknown command 'NONSENSE'"):
        run(site.server(), Load(("NONSENSE",)), 1000)


def test_without_a_load_generator_it_says_what_to_install(tmp_path: Path):
    program = bench("--cases", "incr-p1", env={"PATH": str(tmp_path)})
    _, error = program.communicate(timeout=60)
    assert program.returncode == 3
    assert "redis-tools" in error


def test_an_unknown_case_is_named(tmp_path: Path):
    program = bench("--cases", "incr-p1,nonsense")
    _, error = program.communicate(timeout=60)
    assert program.returncode == 2
    assert "no case is called nonsense" in error


# What is kept


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setattr("bench.results.described", lambda: {"processor": "this"})
    return Results(machine={"processor": "this"}, cases=[])


def figure(
    name: str = "incr-p1",
    ours: tuple[float, ...] = (3, 1, 2),
    other: tuple[float, ...] = (2, 8, 4),
    base: tuple[float, ...] = (),
) -> Figure:
    return Figure(name=name, what=f"what {name} is", unit="requests/s", ours=ours, other=other, base=base)


def test_a_run_replaces_its_own_cases_and_leaves_the_others(results: Results, tmp_path: Path):
    results.put("get-p16", [figure("get-p16")])
    results.put("incr-p1", [figure()])
    results.put("incr-p1", [figure(ours=(7, 7, 7))])
    results.write(tmp_path)
    kept = Results.read(tmp_path)
    assert [(case.case, case.figures[0].ours_median) for case in kept.cases] == [("incr-p1", 7), ("get-p16", 2)]


def test_results_of_another_machine_are_not_mixed_with_new_ones(results: Results, tmp_path: Path):
    Results(machine={"processor": "that"}, cases=[]).write(tmp_path)
    results.put("incr-p1", [figure()])
    assert Results.read(tmp_path).machine == {"processor": "this"}
    assert not Results.read(tmp_path).cases


def test_results_that_cannot_be_read_are_left_alone(results: Results, tmp_path: Path):
    (tmp_path / FILE).write_text("{}", "utf-8")
    with pytest.raises(ResultsUnreadable):
        Results.read(tmp_path)
    assert (tmp_path / FILE).read_text("utf-8") == "{}"


def test_a_page_without_markers_is_left_alone(results: Results, page: Path, tmp_path: Path):
    page.write_text(f"{END} {BEGIN}", "utf-8")
    with pytest.raises(ResultsUnreadable):
        results.write(tmp_path, page)
    assert page.read_text("utf-8") == f"{END} {BEGIN}"


def test_the_page_of_this_project_has_its_place_for_the_results():
    assert re.search(
        f"{re.escape(BEGIN)}.*{re.escape(END)}", (ROOT / "docs" / "performance.md").read_text("utf-8"), re.DOTALL
    )


# Figures and targets


def test_a_figure_is_the_median_and_its_ratio_that_of_the_medians():
    assert figure().ours_median == 2
    assert figure().ratio == 0.5
    assert figure().spread == (0.125, 1.5)
    assert figure(other=()).ratio is None
    assert figure(other=()).spread == (1, 3)
    assert figure(ours=(3,), other=(2,)).spread is None
    assert figure(other=()).value == 2


def test_a_figure_with_a_baseline_is_held_to_its_factor_over_that():
    measured = figure(base=(1, 0.5, 0.25))
    assert (measured.factor, measured.ratio, measured.value) == (4, 0.5, 4)
    assert reached(measured)
    row = dict(zip(HEADINGS, map(str.strip, markdown([measured]).splitlines()[2].split("|")[1:-1]), strict=True))
    assert (row["0.1.0"], row["factor"], row["ratio"], row["target"]) == ("0.5", "4.00", "0.50", "≥ 3")


def test_a_repository_without_the_baseline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr("bench.baseline.ROOT", tmp_path)
    with pytest.raises(BaselineMissing, match=r"Deltaic 0\.1\.0 is commit 1633b0f.*--unshallow"):
        unpack(tmp_path / "code")


@pytest.mark.parametrize(
    ("at_most", "value", "is_reached"), [(False, 2, True), (False, 1.9, False), (True, 2.1, False)]
)
def test_a_target_bounds_from_one_side(at_most: bool, value: float, is_reached: bool):
    assert Target(2, at_most=at_most).reached(value) is is_reached


def test_the_reports_say_whether_a_target_is_reached():
    reached_, missed, free = figure(ours=(12, 12, 12)), figure(ours=(1, 1, 1)), figure("set-p1")
    assert [reached(one) for one in (reached_, missed, free)] == [True, False, None]
    assert TARGETS["incr-p1"] == Target(3)
    rows = markdown([reached_, missed, free]).splitlines()[2:]
    assert [row.split("|")[-2].strip() for row in rows] == ["yes", "no", ""]
    assert "what set-p1 is" in chart([free]).replace("&#160;", " ")
