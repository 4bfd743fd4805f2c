"""The settings of a small fleet."""

from __future__ import annotations

import pytest

from tests.workers.fleet_files import local_fleet_file
from workers.config.loading import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings(local_fleet_file(tmp_path))
