"""Fleets for the command: the shared one, one that tests break, and one that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.command import Command
from tests.fleet import Fleet
from tests.support import free_port
from tests.workers.fleet_files import fleet_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def deltaic(fleet: Fleet) -> Command:
    """The command on the shared fleet of five."""
    return Command(fleet.directory / "fleet.toml")


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three nodes, each with a Valkey of its own, for the tests that break something."""
    with Fleet(tmp_path_factory.mktemp("small"), nodes=3, valkey_each=True) as fleet:
        yield fleet


@pytest.fixture
def on_small(small: Fleet) -> Command:
    return Command(small.directory / "fleet.toml")


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """The file of a fleet that is not there."""
    redis = f"redis://127.0.0.1:{free_port()}/0"
    return fleet_file(tmp_path, **{f"n{n}": {"grpc": f"127.0.0.1:{free_port()}", "redis": redis} for n in (1, 2, 3)})


@pytest.fixture
def usual_logging() -> Iterator[None]:
    """Sets right what a command changes in its process."""
    yield
    structlog.reset_defaults()
