"""The log of the long-running commands: one event per line, with its fields, from its level on."""

from __future__ import annotations

import sys

import pytest
import structlog

from workers.cli.logs import configure_logging

pytestmark = pytest.mark.usefixtures("usual_logging")


def test_elsewhere_than_on_a_terminal_an_event_is_a_line_of_logfmt(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    log = structlog.get_logger()
    log.debug("too_fine")
    log.info("delta_joined", peer="n2", reason="two words")
    (line,) = capsys.readouterr().err.splitlines()
    timestamp, *rest = line.split(" ", 1)
    assert timestamp.startswith("timestamp=20")
    assert timestamp.endswith("Z")
    assert rest == ['level=info event=delta_joined peer=n2 reason="two words"']


def test_on_a_terminal_an_event_is_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logging("warning")
    log = structlog.get_logger()
    log.info("too_fine")
    log.warning("delta_joined", peer="n2")
    (line,) = capsys.readouterr().err.splitlines()
    assert "delta_joined" in line
    assert "event=" not in line
