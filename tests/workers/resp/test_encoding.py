"""Replies to bytes: what a client library reads back, in both versions of the protocol."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest

from crdt_core.commands import ErrorReply, Map, Pairs, SetOf, Status
from crdt_core.replica.steps import finish
from workers.resp.encoding import NOTHING, NULL_LIST, Push, encode, encode_by_step


def decoded(reply: Any, *, resp3: bool) -> Any:
    reader = hiredis.Reader()
    reader.feed(encode(reply, resp3=resp3))
    return reader.gets()


@pytest.mark.parametrize(
    ("reply", "resp2", "resp3"),
    [
        (7, 7, 7),
        (b"a\r\nb", b"a\r\nb", b"a\r\nb"),
        (None, None, None),
        (NULL_LIST, None, None),
        (True, 1, True),
        (2.5, b"2.5", 2.5),
        (Status("OK"), b"OK", b"OK"),
        ([1, [b"x", None]], [1, [b"x", None]], [1, [b"x", None]]),
        (Map([(b"a", 1)]), [b"a", 1], {b"a": 1}),
        (SetOf([b"a"]), [b"a"], [b"a"]),
        (Pairs([(b"a", b"1"), (b"b", b"2")]), [b"a", b"1", b"b", b"2"], [[b"a", b"1"], [b"b", b"2"]]),
        (Push([b"message", b"c", b"m"]), [b"message", b"c", b"m"], [b"message", b"c", b"m"]),
    ],
)
def test_a_client_reads_what_was_said(reply: Any, resp2: Any, resp3: Any) -> None:
    assert decoded(reply, resp3=False) == resp2
    again = decoded(reply, resp3=True)
    assert (list(again) if isinstance(reply, Push | SetOf) else again) == resp3


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    """Else a client would take what follows for the next reply."""
    assert encode(ErrorReply("ERR a\r\n+OK"), resp3=True) == b"-ERR a  +OK\r\n"
    assert encode([ErrorReply("ERR \udcff")], resp3=False) == b"*1\r\n-ERR \xff\r\n"


def test_what_is_no_reply_cannot_be_encoded() -> None:
    for wrong in (NOTHING, object()):
        with pytest.raises(TypeError, match="is no reply"):
            encode(wrong, resp3=False)


@pytest.mark.parametrize("resp3", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        [],
        [b"a", None, 3, [b"b"]],
        [b"%d" % number for number in range(100)],
        SetOf([b"%d" % number for number in range(100)]),
        Map([(b"%d" % number, b"v") for number in range(100)]),
        Pairs([(b"%d" % number, b"v") for number in range(100)]),
        b"one",
        None,
    ],
)
def test_a_reply_is_encoded_by_step_to_the_same_bytes(reply: Any, resp3: bool) -> None:
    encoded = finish(encode_by_step(reply, resp3=resp3))
    whole = encode(reply, resp3=resp3)
    assert b"".join(encoded.pieces) == encode(encoded, resp3=resp3) == whole
    assert encode([1, encoded], resp3=resp3) == encode([1, reply], resp3=resp3)
    if len(whole) > 100:
        assert sum(1 for _ in encode_by_step(reply, resp3=resp3)) == 5
