"""What the tests of the turn loop share."""

from __future__ import annotations

import pytest

from tests.workers.turns.shell import Shell


@pytest.fixture
def shell() -> Shell:
    return Shell()
