"""Servers and fleets for tests, what their processes said when a test fails, and how much Hypothesis tries.

The verdict rests on fixed seeds: Hypothesis derives its examples from the test. `--hypothesis-profile=deep` searches
long with fresh ones; what it finds becomes an `@example`.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.fleet import Fleet
from tests.server import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "fixed", deadline=None, max_examples=40, derandomize=True, suppress_health_check=_SLOW, print_blob=True
)
settings.register_profile("deep", settings.get_profile("fixed"), max_examples=3000, derandomize=False)
settings.load_profile("fixed")


def pytest_configure():
    """Shells start what runs in the background deaf to Ctrl-C, and processes inherit that; the tests' must hear it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """`-n auto` is one process more than there are cores: a test that waits leaves its core to the others."""
    return (yield) + 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the tests of a module. A test that needs it empty flushes it."""
    valkey = ValkeyServer(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield valkey
    valkey.stop()


@pytest.fixture(scope="session")
def shared_fleet(tmp_path_factory) -> Iterator[Fleet]:
    """Five nodes on one Valkey, for all tests that kill nothing."""
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def fleet(shared_fleet) -> Iterator[Fleet]:
    """The shared fleet; each test has keys of its own, and leaves nobody cut off."""
    yield shared_fleet
    shared_fleet.heal()
    shared_fleet.sync_all()
    shared_fleet.agree()


@pytest.fixture
def key(request) -> str:
    """A key that no other test uses."""
    return request.node.nodeid.rpartition("/")[2]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        fleets = {id(value): value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Fleet)}
        for fleet in fleets.values():
            for title, text in fleet.last_words().items():
                if text:
                    report.sections.append((f"Log of {title}", text))
    return report
