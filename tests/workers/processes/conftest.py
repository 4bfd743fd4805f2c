"""The settings of a small fleet."""

from __future__ import annotations

import pytest

from tests.workers.processes.programs import fleet_file
from workers.config.loading import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings(fleet_file(tmp_path / "fleet.toml"))
