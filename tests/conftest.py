"""Fixtures that many tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def five_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Five real workers for all tests that end none of them; each uses keys of its own."""
    with Fleet(tmp_path_factory.mktemp("five")) as fleet:
        yield fleet


@pytest.fixture
def cluster(five_nodes: Fleet) -> Iterator[Fleet]:
    """The shared five nodes, with all links open before and after, and all processes as they were."""
    yield five_nodes
    five_nodes.heal()
    five_nodes.wait_until_agreed()
