"""The options of SET and GETEX: which go together, and what they say of the time to live."""

from __future__ import annotations

import pytest

from crdt_core.commands import CommandError, Session
from crdt_core.commands.string_options import StringOptions
from crdt_core.replica.replica import Replica

KNOWN = b"NX XX IFEQ GET KEEPTTL PERSIST EX PX EXAT PXAT".split()
NOW_MS = 1_000


def parsed(line: str) -> StringOptions:
    return StringOptions(Session(Replica("n1"), NOW_MS, 1), line.encode().split(), "set", KNOWN)


@pytest.mark.parametrize(
    ("line", "deadline_ms"), [("EX 2", 3_000), ("px 2", 1_002), ("EXAT 2", 2_000), ("PXAT 2", 2), ("GET", None)]
)
def test_a_time_to_live_is_a_deadline_in_wall_time(line: str, deadline_ms: int | None) -> None:
    assert parsed(line).deadline_ms == deadline_ms


def test_options_in_whatever_case_and_order() -> None:
    options = parsed("get IFEQ old KeepTTL")
    assert (options.gets, options.equal, options.keeps) == (True, b"old", True)
    assert (options.absent, options.present, options.persists) == (False, False, False)


@pytest.mark.parametrize(
    "line", ["NX XX", "NX IFEQ v", "EX 1 PX 1", "EX 1 KEEPTTL", "EX", "IFEQ", "IFEQ a IFEQ b", "ZZ"]
)
def test_options_that_do_not_go_together_are_refused(line: str) -> None:
    with pytest.raises(CommandError, match="syntax error"):
        parsed(line)


def test_a_time_to_live_of_nothing_is_refused_with_the_name_of_the_command() -> None:
    with pytest.raises(CommandError, match="invalid expire time in 'set' command"):
        parsed("EX 0")
