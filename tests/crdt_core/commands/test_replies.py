"""Replies are values: they compare by what they say, and a refusal carries the whole line."""

from __future__ import annotations

from crdt_core.commands import OK, CommandError, ErrorReply, Map, Pairs, SetOf, Status
from crdt_core.errors import CallerError


def test_replies_compare_by_what_they_say() -> None:
    assert Status("OK") == OK
    assert Map([(b"a", 1)]) == Map([(b"a", 1)]) != Map([(b"a", 2)])
    assert SetOf([b"a"]) != Pairs([(b"a", 1)])


def test_a_refusal_is_an_error_of_the_caller_with_its_whole_line() -> None:
    error = CommandError("WRONGTYPE no")
    assert isinstance(error, CallerError)
    assert ErrorReply(error.text).text == str(error) == "WRONGTYPE no"
