"""Tokens: what a session has seen, in a form that can be passed on.

A token is a version vector: per replica id, how many of its commits have been seen. A node answers `DELTAIC.TOKEN` with
its own, and `DELTAIC.AWAIT` waits until the node has seen all that a token names. So a client that carries a token to
another node reads its own writes there, and never reads anything older than it has read before (Terry et al. 1994,
"Session guarantees for weakly consistent replicated data").
"""

from __future__ import annotations

from crdt_core.codec.clocks import decode_token, encode_token
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import VersionVector
from deltaic.errors import InvalidArgument

__all__ = ["Token"]


class Token:
    """What has been seen. Immutable; `str()` is the text to pass on (letters, digits, `-`, `_`, `=`).

    >>> here, there = Token.parse("eyJuMSI6NH0="), Token.parse("eyJuMiI6MX0=")
    >>> both = here.merged(there)
    >>> both.covers(here), here.covers(both), Token().covers(Token())
    (True, False, True)
    >>> both
    Token(n1:4 n2:1)
    >>> Token.parse(str(both)) == both
    True
    """

    __slots__ = ("_clock",)

    def __init__(self) -> None:
        """Make the token of one who has seen nothing."""
        self._clock = VersionVector()

    @classmethod
    def parse(cls, text: str | bytes) -> Token:
        """Return the token in `text`, a reply of `DELTAIC.TOKEN` or another token's `str()`.

        Raises `InvalidArgument` for anything else.
        """
        try:
            clock = decode_token(text)
        except Malformed:
            raise InvalidArgument("token", "it is no token of DELTAIC.TOKEN") from None
        return cls._of(clock)

    @classmethod
    def _of(cls, clock: VersionVector) -> Token:
        token = cls()
        token._clock = clock
        return token

    def covers(self, other: Token) -> bool:
        """Whether this has seen all that `other` has."""
        return other._clock <= self._clock

    def merged(self, other: Token) -> Token:
        """Return the token of one who has seen what this and `other` have."""
        if self.covers(other):
            return self
        if other.covers(self):
            return other
        clock = self._clock.copy()
        clock.merge(other._clock)
        return self._of(clock)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self._clock == other._clock

    def __hash__(self) -> int:
        return hash(frozenset(self._clock.items()))

    def __bool__(self) -> bool:
        """Whether it names any commit."""
        return bool(self._clock)

    def __str__(self) -> str:
        return encode_token(self._clock).decode()

    def __repr__(self) -> str:
        return f"Token({' '.join(f'{replica}:{count}' for replica, count in sorted(self._clock.items()))})"
