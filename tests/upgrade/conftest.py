"""Version 0.1.0, installed once for all tests here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.upgrade.installation import Installation, install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    directory: Path = tmp_path_factory.mktemp("0.1.0")
    return install(directory)
