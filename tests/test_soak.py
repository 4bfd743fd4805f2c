"""A short soak; `make soak SECONDS=3600` runs a long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.soak.__main__ import soak

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.serial


def test_a_fleet_under_load_and_faults_loses_nothing_and_makes_nothing_up(tmp_path: Path) -> None:
    run = soak(seconds=30, seed=20, directory=tmp_path)
    assert not run.violations
    assert run.ledger.total.total() > 500
    assert run.faults.counts.total() > 4
