"""The probe watches all large work, and its exit code says whether an answer took too long. No figure is judged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bench.probe import LARGE_WORK

ROOT = Path(__file__).parents[2]


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.probe", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_it_watches_both_nodes_through_all_large_work_and_says_that_an_answer_took_too_long():
    done = probe("--keys", "500", "--limit", "0")
    assert done.returncode == 1, done.stderr
    found = re.findall(r"^([a-z ]+?) +(n\d) +[\d.]+ ms +of \d+ answers$", done.stdout, re.MULTILINE)
    assert found == [(what, node) for what in LARGE_WORK for node in ("n1", "n2")]
    assert "slowest answer with 500 keys: " in done.stdout
