"""The large work of a node: what is too large for one turn and waits to be prepared, committed or freed.

The module that meets something large puts it aside: `rounds` a patch of a peer, `offered_patches` one of a caller,
`peer_logs` a delta, `large_calls` a call. This module drives all of them. Between two turns a shell has it prepared, a
slice at a time (`crdt_core.node.prepared`). The commit of the next turn persists all slices. Once that commit is
durable, what the slices have left behind is freed, a slice at a time, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crdt_core.codec.records import Changes
    from crdt_core.node.events import Commit
    from crdt_core.node.large_calls import LargeCalls
    from crdt_core.node.offered_patches import OfferedPatches
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.peer_logs import PeerLogs
    from crdt_core.node.prepared import Prepared
    from crdt_core.node.rounds import Rounds
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.committed_view import CommittedView
    from crdt_core.replica.replica import Replica

__all__ = ["LargeWork"]


class LargeWork:
    """What waits, by its kind. While there is any but `behind`, `prepare` has something to do before the next turn.

    Each list is the one of the module that puts such work aside, and stays the same list.
    """

    def __init__(
        self,
        replica: Replica,
        confirmed: CommittedView,
        options: NodeOptions,
        *,
        rounds: Rounds,
        logs: PeerLogs,
        offered: OfferedPatches,
        calls: LargeCalls,
    ) -> None:
        self._takers = (logs, offered, rounds)
        """Who takes in what others have sent, in this order: that of the slices in the commit of the turn."""
        self.joins = rounds.joins
        """Patches of peers that the next turn takes in."""
        self.deltas = logs.waiting
        """The same for deltas."""
        self.offers = offered.waiting
        """The same for patches of callers."""
        self.calls = calls.waiting
        """A call: `prepare` runs it, `Node.end_large_call` ends it. There is one at most."""
        self.behind = calls.behind
        """Calls that came before the last turn, and wait for the next one behind a large call."""
        self.discards = replica.catalogue.discards.waiting
        """What large work has left behind: `prepare` frees it."""
        self.committing: Commit | None = None
        """The commit under way, if slices before its turn take part."""
        self._catalogue = replica.catalogue
        self._confirmed = confirmed
        self._size = options.parts_per_slice

    def prepare(self) -> bool:
        """Do a slice of what the next turn needs, and return whether there is more.

        A shell calls this between two turns, until it returns false, and may do other things between two slices.
        Readers may be shown the committed state meanwhile. What large work has left behind is freed first.
        """
        if self.discards:
            self._catalogue.discards.free(self._size)
            return True
        works: list[Prepared] = [work for taker in self._takers for work in taker.prepared]
        is_more = any(work.advance() for work in works or self.calls)
        self._confirmed.follow()
        return is_more

    def advance(self, context: TurnContext) -> None:
        """Have the turn take in what was prepared, and put aside what the next one will need."""
        for taker in self._takers:
            taker.advance(context)

    def take_last_slice(self, commit: Commit) -> Changes:
        """Return the records of what the turn itself has changed, for its `commit`, in which slices take part."""
        self.committing = commit
        return self._catalogue.take_slice()

    def discard(self) -> None:
        """Have freed in slices what has been under way for the commit in slices, which is durable."""
        assert self.committing is not None
        catalogue = self._catalogue
        catalogue.discards.add(catalogue.in_flight, catalogue.keys_in_flight)
        catalogue.discards.add(self.committing.earlier, weight=self._size)
        self._confirmed.discard()
        self.committing = None

    @property
    def has_news(self) -> bool:
        """Whether a delta or a patch waits. A large call ends after it."""
        return bool(self.joins or self.deltas or self.offers)
