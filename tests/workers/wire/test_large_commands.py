"""Commands with large words become what hiredis makes of them, and nothing large is copied."""

from __future__ import annotations

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.pieces import Pieces
from workers.wire.large_commands import BUFFER_BYTES_MAX, buffers_of

LARGE = st.integers(65_000, 600_000).map(bytes)
PIECES = st.lists(st.binary(max_size=20) | LARGE, max_size=3).map(Pieces)
WORDS = st.binary(max_size=20) | st.text(max_size=20) | st.integers() | LARGE | PIECES
COMMANDS = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(tuple), max_size=4)


@given(COMMANDS)
def test_the_bytes_are_those_that_hiredis_packs(commands: list[tuple[bytes | str | int | Pieces, ...]]) -> None:
    whole = [tuple(bytes(word) if isinstance(word, Pieces) else word for word in command) for command in commands]
    assert b"".join(buffers_of(commands)) == b"".join(map(hiredis.pack_command, whole))


def test_large_words_are_handed_over_as_they_are() -> None:
    word, pieces = bytes(3 * BUFFER_BYTES_MAX), Pieces([bytes(90_000), b"x" * 1000])
    buffers = list(buffers_of([("PING",), ("XADD", "log", "1-0", "d", word), ("SET", "k", pieces)]))
    views = [buffer for buffer in buffers if isinstance(buffer, memoryview)]
    assert [len(view) for view in views] == [BUFFER_BYTES_MAX] * 3
    assert all(view.obj is word for view in views)
    assert all(any(buffer is piece for buffer in buffers) for piece in pieces)
    assert len(buffers) == len(views) + len(pieces) + 3


def test_small_commands_are_one_buffer() -> None:
    commands = [("MULTI",), ("HSET", "k", "f", bytes(60_000)), ("EXEC",)]
    assert len(list(buffers_of(commands))) == 1
