"""What a session has seen, and which nodes are known to have seen as much."""

from __future__ import annotations

from threading import Lock

from deltaic.tokens import Token

__all__ = ["Progress"]


_NO_REPLY = object()


class Progress:
    """The token of one session, and the last known token of each node. Threads may share it."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._of_node: dict[str, Token] = {}
        self._last_reply: dict[str, bytes] = {}
        self._lock = Lock()

    @property
    def token(self) -> Token:
        """What the session has seen."""
        return self._token

    def must_see(self, token: Token) -> None:
        """Have the session read nothing that is older than `token`."""
        with self._lock:
            self._token = self._token.merged(token)

    def is_met_by(self, node: str) -> bool:
        """Whether `node` is known to have seen all that the session has."""
        known = self._of_node.get(node)
        if known is None:
            return not self._token
        return known is self._token or known.covers(self._token)

    def reached(self, node: str, token: Token) -> None:
        """`node` has seen all that `token` names."""
        with self._lock:
            self._of_node[node] = self._of_node.get(node, token).merged(token)

    def saw(self, node: str, reply: bytes) -> None:
        """`node` replied to the session, and had seen what `reply`, of `DELTAIC.TOKEN`, says."""
        if self._last_reply.get(node, _NO_REPLY) == reply:
            return
        token = Token.parse(reply)
        with self._lock:
            self._last_reply[node] = reply
            self._token = self._token.merged(token)
            self._of_node[node] = self._of_node.get(node, token).merged(token)

    def lost_sight_of(self, node: str) -> None:
        """Forget what `node` has seen: a node that does not answer may come back without its last commits."""
        with self._lock:
            self._of_node.pop(node, None)
            self._last_reply.pop(node, None)

    def forget(self) -> None:
        """Have the session start anew, as one that has seen nothing."""
        with self._lock:
            self._token = Token()
            self._of_node.clear()
            self._last_reply.clear()
