"""Which peers can read all that this version writes: Deltaic 0.1.0 cannot.

The shell hears that from the peers (`note`). It is persisted by replica id: a node that starts while a peer
is away goes on with what it knew of it. Whoever comes back with another id has to be heard anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.membership.membership import Membership
    from crdt_core.replica.replica import Replica

__all__ = ["FIELD", "Upgraded"]

FIELD = "upgraded"
"""The field of the header, a list of replica ids as JSON."""


class Upgraded:
    """Has `replica` be cautious while a peer in `membership` may not be able to read everything.

    `nodes` can read everything, as far as was heard; `None` where nobody listens: then all can. `unkept` is what the
    next commit is to persist of that, if it has changed.
    """

    __slots__ = ("_kept", "_membership", "_replica", "nodes", "unkept")

    def __init__(self, replica: Replica, membership: Membership) -> None:
        self._replica = replica
        self._membership = membership
        self._kept = b"[]"
        self.nodes: frozenset[str] | None = None
        self.unkept: bytes | None = None

    def restore(self, header: Mapping[str, bytes]) -> None:
        """Take up what `note` had persisted; anything else there is ignored."""
        kept = header.get(FIELD, b"[]")
        try:
            found = orjson.loads(kept)
        except orjson.JSONDecodeError:
            return
        ids = found if isinstance(found, list) else []
        self._kept = kept
        self.note(frozenset(node for node, id_ in self._membership.peers.items() if id_ in ids))

    def note(self, nodes: frozenset[str]) -> None:
        """Take in that `nodes` can read everything, and no others."""
        self.nodes = nodes
        ids = sorted(id_ for node, id_ in self._membership.peers.items() if node in nodes)
        kept = orjson.dumps(ids)
        self.unkept = None if kept == self._kept else kept
        self.choose()

    def take_unkept(self) -> bytes:
        """Return `unkept`, which there is, for the commit that persists it."""
        assert self.unkept is not None, "there is something to persist"
        self._kept, self.unkept = self.unkept, None
        return self._kept

    def choose(self) -> None:
        """Have the replica be cautious or not, by who takes part now."""
        if self.nodes is not None:
            self._replica.cautious = not self.nodes.issuperset(self._membership.peers)
