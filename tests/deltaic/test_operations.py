"""Commands as they are sent, and as messages show them."""

from __future__ import annotations

import pytest

from deltaic.errors import InvalidArgument
from deltaic.operations import as_bytes, as_text, plain


def test_arguments_of_all_kinds_are_sent_as_bytes() -> None:
    assert plain(("SET", b"\x00", "ü", 7, 1.5), writes=True).command == (b"SET", b"\x00", "ü".encode(), b"7", b"1.5")


def test_bytes_that_are_no_text_survive_the_way_there_and_back() -> None:
    every_byte = bytes(range(256))
    assert as_bytes("value", as_text(every_byte)) == every_byte


@pytest.mark.parametrize("command", [(), (None,), ("SET", True), ("SET", ["a"]), ("GET", "\ud800")])
def test_what_cannot_be_sent_is_the_callers_fault(command) -> None:
    with pytest.raises(InvalidArgument):
        plain(command, writes=False)


def test_a_read_and_an_idempotent_write_are_repeatable() -> None:
    assert plain(("GET", "k"), writes=False).is_repeatable
    assert plain(("SET", "k", 1), writes=True, idempotent=True).is_repeatable
    assert not plain(("SET", "k", 1), writes=True).is_repeatable


def test_messages_show_the_command_and_its_key_and_no_value() -> None:
    assert plain(("SET", "k", "secret"), writes=True).name == "SET k"
    assert plain((b"GET", b"\xff"), writes=False).name == "GET \\udcff"
    assert len(plain(("GET", "k" * 1000), writes=False).name) < 100
