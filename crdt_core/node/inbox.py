"""Messages that were read from the node's inbox: which sender may say what, and who takes which message.

Jobs send `Round` and `Compact`; a node that needs a new replica id sends `Admit`; peers send the messages of rounds.
A message that makes no sense is quarantined. The turn's commit acknowledges every message, whatever became of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.messages import Admit, Answer, Ask, Compact, More, Push, Round, decode_message
from crdt_core.errors import ImpossibleClock, Malformed, PatchTooNew, PeerError, brief
from crdt_core.membership.changes import AdmitIncarnation, RemoveMember
from crdt_core.types.members import ABSENT

if TYPE_CHECKING:
    from collections import Counter

    from crdt_core.codec.messages import PeerMessage
    from crdt_core.membership.membership import Membership
    from crdt_core.node.events import MessagesRead, Operation
    from crdt_core.node.peers import Peers
    from crdt_core.node.rounds import Rounds
    from crdt_core.node.stability import Stability
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["Inbox"]


class Inbox:
    """Takes in the messages for node `name`."""

    def __init__(
        self,
        name: str,
        replica: Replica,
        membership: Membership,
        *,
        peers: Peers,
        rounds: Rounds,
        stability: Stability,
        counts: Counter[str],
    ) -> None:
        self._name = name
        self._replica = replica
        self._membership = membership
        self._peers = peers
        self._rounds = rounds
        self._stability = stability
        self._counts = counts

    def take(self, event: MessagesRead, context: TurnContext) -> None:
        """Take messages in, in their order, and acknowledge them."""
        for entry, content in event.entries:
            context.commit.acknowledged.append(entry)
            if content is not None:
                self._take_entry(entry, content, context)

    def _take_entry(self, entry: str, content: bytes, context: TurnContext) -> None:
        try:
            message = decode_message(content)
            match message:
                case Round():
                    self._start_round(message, context)
                case Compact():
                    overdue = self._stability.take(message, context)
                    self._write(context, *(RemoveMember(node, ABSENT) for node in overdue))
                case Admit():
                    new = AdmitIncarnation(message.sender, message.replica, message.grpc, message.redis)
                    self._write(context, new)
                case _:
                    self._take_peer_message(message, len(content), context)
        except PatchTooNew:
            self._counts["patches_refused"] += 1
        except PeerError as error:
            self._counts["claims_refused"] += isinstance(error, ImpossibleClock)
            context.quarantine("inbox", entry, content, str(error))

    def _write(self, context: TurnContext, *operations: Operation) -> None:
        """Has the turn run `operations`, unless the node is no member yet: it must not write before it is.

        Nobody would ever close an id that wrote and is not among the members. Who asked to be recorded asks again,
        or asks another member.
        """
        if self._membership.is_admitted:
            context.own.extend(operations)
        else:
            self._counts["messages_dropped"] += bool(operations)

    def _start_round(self, message: Round, context: TurnContext) -> None:
        """Start a job's round, without the peers with which an exchange of this node's is under way."""
        peers = [peer for peer in self._peers.heard(message.peers) if not self._rounds.awaits(peer)]
        self._rounds.start(peers, context, answer_to=message.answer_to)

    def _take_peer_message(self, message: PeerMessage, size: int, context: TurnContext) -> None:
        """Answer questions of every node that ever took part, and take the rest from members only.

        A node that is no member yet does not know who the members are. They may know it already; it drops what they
        send, and they ask again.
        """
        sender = message.sender
        is_known = self._membership.knows(sender) or self._was_left_behind(message)
        if not is_known and self._membership.is_admitted:
            raise Malformed("message", f"sender {brief(sender)} is no peer of {self._name}")
        if not is_known or sender in self._peers.paused or self._is_out_of_place(message):
            self._counts["messages_dropped"] += 1
            return
        self._rounds.take(message, size, context)

    def _was_left_behind(self, message: PeerMessage) -> bool:
        """Whether an unknown sender asks, and holds commits that the fleet has abandoned.

        It was added by a member that left before anybody here could hear of it. It gets an answer, because the answer
        tells it that the fleet goes on without those commits.
        """
        return isinstance(message, Ask | More) and bool(self._replica.members.abandoned(message.clock))

    def _is_out_of_place(self, message: PeerMessage) -> bool:
        """Whether only a member may send this message, and the sender is none, or not under this replica id.

        A member may use a replica id that is unknown here, if it has written under it, as only members do. Otherwise a
        node that was away while all others came back under new ids would never hear of them. A patch with commits that
        the fleet has abandoned comes from no member, though the sender may have the name of a member.
        """
        if isinstance(message, Answer | Push) and message.sender in self._peers.names:
            patch = message.patch
            if self._replica.members.abandoned(patch.clock):
                return True
            if patch.origin == self._membership.peers[message.sender]:
                return False
            return patch.origin in self._replica.members.facts or not patch.clock[patch.origin]
        return not isinstance(message, Ask | More) and message.sender not in self._peers.names
