"""A server that does not come up is not left behind, and says why."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import ValkeyServer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_that_ends_at_once_fails_at_once_with_its_log(tmp_path: Path) -> None:
    """The wait went on for 20 s, and the reason stayed in the log."""
    server = ValkeyServer(tmp_path, options=("--no-such-option", "x"))
    with pytest.raises(AssertionError, match=r"(?s)Valkey ended with 1:.*no-such-option"):
        server.start()


def test_a_server_that_is_given_up_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was left behind: the fixture that would have stopped it had not begun."""
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

    def give_up(*_: object) -> None:
        raise AssertionError("waited in vain")

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr("tests.server.wait_until", give_up)
    with pytest.raises(AssertionError, match="waited in vain"):
        ValkeyServer(tmp_path).start()
    (process,) = started
    assert process.poll() is not None
