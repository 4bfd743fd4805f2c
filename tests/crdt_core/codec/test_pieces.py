"""Bytes in pieces: they say how many they are, and are joined only if they are asked."""

from __future__ import annotations

from crdt_core.codec.pieces import Pieces


def test_pieces_are_the_bytes_that_they_have_together() -> None:
    pieces = Pieces([b"ab", b"", b"cde"])
    assert (pieces.size, bytes(pieces), list(pieces)) == (5, b"abcde", [b"ab", b"", b"cde"])
    assert (Pieces().size, bytes(Pieces())) == (0, b"")
