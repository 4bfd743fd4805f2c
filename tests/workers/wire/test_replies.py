"""Checking and reading replies: what Redis refuses is an error, and what cannot be read names its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import CorruptState, Malformed, StoreUnavailable
from workers.wire.connection import connect
from workers.wire.replies import corrupt_state, locating_malformed, pairs, run_id_in, send_checked, text, turn_in

if TYPE_CHECKING:
    from tests.server import ValkeyServer


async def test_replies_without_an_error_come_back(server: ValkeyServer) -> None:
    wire = await connect(server.url, "deltaic-of-a-test", 5)
    assert await send_checked(wire, [("PING",), ("ECHO", "x")]) == [b"PONG", b"x"]
    wire.close()


async def test_a_key_of_another_kind_is_corrupt_state_and_closes_the_connection(server: ValkeyServer) -> None:
    server.client().set("a string", "x")
    wire = await connect(server.url, "deltaic-of-a-test", 5)
    with pytest.raises(CorruptState, match="a string cannot be read: it holds another kind of value"):
        await send_checked(wire, [("PING",), ("HGETALL", "a string")])
    assert not wire.open


async def test_any_other_refusal_may_be_over_later(server: ValkeyServer) -> None:
    wire = await connect(server.url, "deltaic-of-a-test", 5)
    with pytest.raises(StoreUnavailable, match="Redis refuses: ERR unknown command"):
        await send_checked(wire, [("NO-SUCH-COMMAND",)])
    assert not wire.open


def test_malformed_data_names_its_key_and_its_field() -> None:
    with pytest.raises(CorruptState) as found, locating_malformed("deltaic:{n1}:state", b"hits"):
        raise Malformed("object", "it is no JSON")
    assert found.value.where == "deltaic:{n1}:state field b'hits'"
    assert "malformed object: it is no JSON" in str(found.value)
    assert corrupt_state(b"key \xff", None, Malformed("header", "x")).where == r"key \xff"


def test_a_turn_is_a_number_of_a_sensible_length() -> None:
    assert [turn_in(digits) for digits in (b"0", b"7", b"9" * 18)] == [0, 7, 10**18 - 1]
    for digits in (b"", b"-1", b"1.5", b"many", b"9" * 5000, b" 7", "٣".encode()):
        with pytest.raises(Malformed, match="is no number"):
            turn_in(digits)


def test_fields_and_values_come_in_pairs() -> None:
    assert list(pairs([b"a", b"1", b"b", b"2"])) == [(b"a", b"1"), (b"b", b"2")]
    assert dict(pairs([])) == {}
    with pytest.raises(ValueError, match="shorter"):
        dict(pairs([b"a"]))


async def test_the_run_id_of_a_server_is_in_its_info(server: ValkeyServer) -> None:
    wire = await connect(server.url, "deltaic-of-a-test", 5)
    (info,) = await send_checked(wire, [("INFO", "server")])
    assert run_id_in(info).decode() == server.client().info("server")["run_id"]
    assert run_id_in(b"# Server\r\nredis_version:7\r\n") == b""
    wire.close()


def test_text_can_be_shown_whatever_its_bytes_are() -> None:
    assert (text("é"), text("é".encode()), text(b"\xff"), text(7)) == ("é", "é", r"\xff", "7")
