"""A place for what a test deploys, and a node that wants passwords."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.secured import GRPC_SECRET, REDIS_SECRET, Deployment, deployment, redis_server, with_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A node whose face wants a password, and its periodic jobs; its Redis wants one as well."""
    directory = tmp_path_factory.mktemp("protected")
    with ExitStack() as stack:
        server = redis_server(stack, directory, password=REDIS_SECRET)
        (directory / "password").write_text(f"{GRPC_SECRET}\n", "ascii")
        node = deployment(stack, directory, with_password(server), f'password_file = "{directory}/password"')
        node.server = server
        node.start("replica", "n1")
        node.start("jobs")
        node.start("cron")
        node.wait_until_serving()
        yield node
