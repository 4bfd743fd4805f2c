"""`make test`: it runs both parts of the tests, and fails if either fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import program

ROOT = Path(__file__).parents[2]
PYTEST = """#!/bin/sh
printf '%s\\n' "$PYTHONDONTWRITEBYTECODE $*" >> {log}
case "$*" in *"not serial"*) exit {parallel} ;; *) exit {serial} ;; esac
"""


@pytest.mark.parametrize(
    ("parallel", "serial", "fine"), [(0, 0, True), (1, 0, False), (0, 1, False), (1, 1, False), (0, 5, True)]
)
def test_both_parts_run_and_either_failure_fails(tmp_path: Path, parallel: int, serial: int, fine: bool) -> None:
    """A failure in the parallel part hid what the serial part would have found. 5: there are no such tests."""
    done, calls = make_test(tmp_path, parallel, serial)
    assert (done.returncode == 0) is fine, done.stdout + done.stderr
    assert [call.endswith("not serial") for call in calls] == [True, False]


def test_what_the_tests_start_again_and_again_is_compiled_once(tmp_path: Path) -> None:
    """With the variable set, each of many hundred workers compiled its modules: a quarter of its start."""
    _, calls = make_test(tmp_path, 0, 0, PYTHONDONTWRITEBYTECODE="1")
    assert [call.partition(" ")[0] for call in calls] == ["", ""]


def make_test(
    directory: Path, parallel: int, serial: int, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run `make test` with a stand-in for pytest that ends with these exit codes; return how it was called, too."""
    log, stand_in = directory / "log", directory / "venv" / "bin" / "pytest"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(PYTEST.format(log=log, parallel=parallel, serial=serial))
    stand_in.chmod(0o755)
    for mark in (".runtime", ".dev"):
        (directory / "venv" / mark).touch()
    make = [program("make", "make"), "-C", ROOT, "test", f"VENV={directory}/venv"]
    done = subprocess.run(make, env={**os.environ, **variables}, capture_output=True, text=True)
    return done, log.read_text().splitlines()


def test_an_environment_of_another_python_is_named_with_the_remedy(tmp_path: Path) -> None:
    """Two Pythons were mixed in one environment, and what failed then said neither why nor what to do."""
    for name, version in (("venv/bin/python", "3.11"), ("python3.13", "3.13")):
        stand_in = tmp_path / name
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(f"#!/bin/sh\necho {version}\n")
        stand_in.chmod(0o755)
    make = [program("make", "make"), "-C", ROOT, "fleet", f"VENV={tmp_path}/venv", f"PYTHON={tmp_path}/python3.13"]
    done = subprocess.run(make, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{tmp_path}/venv has Python 3.11, and this is Python 3.13" in done.stderr
    assert "make clean" in done.stderr
