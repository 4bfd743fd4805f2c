"""Fixtures of the tests that need a container engine; what runs in containers shows its logs when a test fails."""

from __future__ import annotations

import pytest

from tests.containers.deployment import Deployment
from tests.containers.engine import engine_version, make_images_available
from tests.containers.valkey import ValkeyServer
from tests.fleet import Node
from tests.support import free_port

LOGS = {"worker": Node.last_words, "valkey_container": ValkeyServer.logs, "compose_deployment": Deployment.logs}


@pytest.fixture(scope="session")
def container_engine():
    """The version of the container engine, which answers and has the images the tests use."""
    version = engine_version()
    make_images_available()
    return version


@pytest.fixture
def valkey_container(container_engine):
    """A Valkey of the test's own in a container."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def worker(valkey_container, tmp_path):
    """A replica worker on this machine whose Redis is `valkey_container`: node `n1` of a fleet of one."""
    address, file = f"127.0.0.1:{free_port()}", tmp_path / "deltaic.toml"
    file.write_text(
        f'[nodes.n1]\ngrpc = "{address}"\nredis = "{valkey_container.url}"\n[valkey]\nembedded = false\n', "utf-8"
    )
    node = Node("n1", address, file, "worker")
    try:
        yield node.start()
    finally:
        node.discard()


@pytest.fixture(scope="module")
def compose_deployment(container_engine):
    """The deployment of docker-compose.yml, up and serving."""
    with Deployment() as deployment:
        yield deployment


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the logs of what a failed test ran."""
    report = yield
    if report.failed and call.when == "call":
        for name, logs in LOGS.items():
            if name in item.funcargs:
                report.sections.append((f"logs of {name}", logs(item.funcargs[name])))
    return report
