"""Commands with words of many megabytes, as buffers for the transport: nothing large is copied.

hiredis packs a command into bytes of its own. For a word of 60 MB that is a copy in fresh memory, which takes from 35
ms to several times that. So such a command is written here by hand, and its large words are passed on as they are, some
bytes at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import hiredis

from crdt_core.codec.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["BUFFER_BYTES_MAX", "Word", "buffers_of"]

Word: TypeAlias = bytes | str | int | Pieces
"""One word of a command."""

BUFFER_BYTES_MAX = 256 << 10
"""The most bytes that one buffer has of a large word."""
_LARGE_BYTES = 64 << 10
_ONE_WORD = len(b"*1\r\n")
_END = b"\r\n"

# hiredis packs tuples of any length; its type hints say one.
_pack: Callable[[tuple[Word, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


def buffers_of(commands: Iterable[tuple[Word, ...]]) -> Iterator[bytes | memoryview]:
    """Yield what hiredis would pack of `commands`, in pieces. Large words come as they are, or as views of them."""
    small: list[bytes] = []
    for command in commands:
        if not any(map(_is_large, command)):
            small.append(_pack(command))
            continue
        small.append(b"*%d\r\n" % len(command))
        for word in command:
            if not _is_large(word):
                small.append(_pack((word,))[_ONE_WORD:])
                continue
            assert isinstance(word, bytes | Pieces)
            size = word.size if isinstance(word, Pieces) else len(word)
            yield b"".join([*small, b"$%d\r\n" % size])
            for piece in word if isinstance(word, Pieces) else (word,):
                yield from _slices(piece)
            small = [_END]
    yield b"".join(small)


def _is_large(word: Word) -> bool:
    return isinstance(word, Pieces) or (isinstance(word, bytes) and len(word) > _LARGE_BYTES)


def _slices(piece: bytes) -> Iterator[bytes | memoryview]:
    if len(piece) <= BUFFER_BYTES_MAX:
        yield piece
        return
    view = memoryview(piece)
    for start in range(0, len(view), BUFFER_BYTES_MAX):
        yield view[start : start + BUFFER_BYTES_MAX]
