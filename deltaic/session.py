"""What a session remembers, whichever way it talks to the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltaic.tokens import Token

if TYPE_CHECKING:
    from deltaic.calls import Journey

__all__ = ["SessionMemory"]


class SessionMemory:
    """The part of a session that needs no I/O. `journey` is where it has been."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey

    @property
    def node(self) -> str | None:
        """The node of the last call, as `host:port`; `None` before the first."""
        return self._journey.node

    def token(self) -> Token:
        """Return what this session has seen, for `read_after` elsewhere."""
        return self._journey.progress.token

    def read_after(self, token: Token | str | bytes) -> None:
        """Have all later calls see what `token` names. Raises `InvalidArgument` for text that is no token."""
        self._journey.progress.must_see(token if isinstance(token, Token) else Token.parse(token))

    def forget(self) -> None:
        """Go on as a session that has seen nothing: the way out of `NodesBehind` where the missing commits are lost."""
        self._journey.progress.forget()
