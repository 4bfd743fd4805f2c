"""Sites for scenarios: one alone, and three that hear each other in every way."""

from __future__ import annotations

import pytest

from tests.crdt_core.sites import WAYS, Fleet, Site, way_name


@pytest.fixture(params=WAYS, ids=way_name)
def fleet(request: pytest.FixtureRequest) -> Fleet:
    """Three sites. Every scenario ends the same at each, delta by delta in any order, or by patches."""
    return Fleet(*request.param)


@pytest.fixture
def site() -> Site:
    """A lone site."""
    return Site("n1")
