"""`make test`: it runs both parts of the tests, and fails if either fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import program

ROOT = Path(__file__).parents[2]
PYTEST = """#!/bin/sh
printf '%s\\n' "$*" >> {log}
case "$*" in *"not serial"*) exit {parallel} ;; *) exit {serial} ;; esac
"""


@pytest.mark.parametrize(
    ("parallel", "serial", "fine"), [(0, 0, True), (1, 0, False), (0, 1, False), (1, 1, False), (0, 5, True)]
)
def test_both_parts_run_and_either_failure_fails(tmp_path: Path, parallel: int, serial: int, fine: bool) -> None:
    """A failure in the parallel part hid what the serial part would have found. 5: there are no such tests."""
    log, stand_in = tmp_path / "log", tmp_path / "venv" / "bin" / "pytest"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(PYTEST.format(log=log, parallel=parallel, serial=serial))
    stand_in.chmod(0o755)
    for mark in (".runtime", ".dev"):
        (tmp_path / "venv" / mark).touch()
    make = [program("make", "make"), "-C", ROOT, "test", f"VENV={tmp_path}/venv"]
    done = subprocess.run(make, capture_output=True, text=True)
    assert (done.returncode == 0) is fine, done.stdout + done.stderr
    assert [line.endswith("not serial") for line in log.read_text().splitlines()] == [True, False]


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
