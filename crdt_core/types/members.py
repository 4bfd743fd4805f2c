"""Who belongs to the fleet: replicated facts, held in the replica itself like everything else.

The facts travel causally. So a replica that has heard of a change has heard of all that its author had seen. That
answers the questions for which other systems need a vote:

- *Joining.* A member writes the new replica id down before the new replica may write anything, and the new replica's
  state must show it. So what a member takes for stable, without having heard of the new replica, the new replica has.
- *Leaving.* An id that leaves must stop growing everywhere at the same dot. Every member that hears of it *closes* it:
  from then on the member takes that id's dots only out of members' patches, and records that it does. A replica
  that has seen the closings of all members has, by causality, all dots of that id that anybody will ever have.
- *Folding.* Once that is stable the id is *sealed*. Once the seal is stable, no message is under way that was made
  without all of the id's dots, and the id is *folded*: it goes from every clock. The dots that carry its name stay in
  siblings, and count as seen by everybody (`crdt_core.lattice.replica_index.ReplicaIndex.folded`).

    part        payload                                         states only ever rise:
    n1.2        ["active","n1","127.0.0.1:7001","redis://..."]  active < leaving < sealed < folded
    n1          ["leaving","n1","lost",1763700000000]           a node's next incarnation is a new id
    n6-4f2a91   ["active","n6","127.0.0.1:7106","redis://..."]  a node that was added, by the nonce of that addition
    n1          ["sealed","n1","lost",1763700000000,41]         41: the last counter of the id; likewise "folded"
    n1/n2       true                                            n2 has closed n1
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.types.contract import CrdtType
from crdt_core.types.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types.contract import View

__all__ = [
    "ABSENT",
    "LOST",
    "MAY_HAVE_UNSENT",
    "MEMBERS",
    "MEMBERS_KEY",
    "NAMESAKE",
    "REMOVED_BY_HAND",
    "RESERVED",
    "Fact",
    "Members",
    "MembersType",
    "Standing",
    "machine_of",
]

RESERVED = b"deltaic:"
"""The prefix of Deltaic's own keys. No command reads or makes such keys."""

MEMBERS_KEY = RESERVED + b"members"
"""The key of the one object of this type. No face shows it or writes to it."""

REMOVED_BY_HAND = "removed"
ABSENT = "absent"
LOST = "lost"
NAMESAKE = "namesake"
"""The reasons to leave. After all but the first the node may come back by itself, under a new id; after `NAMESAKE` also
under a new name, because another machine keeps the old one."""

MAY_HAVE_UNSENT = frozenset({ABSENT, NAMESAKE})
"""The reasons of ids that may have gone on writing after the fleet had ended them. Once such writes are repeated, the
reason becomes `LOST`."""

_ADDRESS_LENGTH_MAX = 1024
_REASON_LENGTH_MAX = 100
_COUNTER_MAX = 2**50


class Standing(IntEnum):
    """How far the life of a replica id has come."""

    ACTIVE = 0
    LEAVING = 1
    SEALED = 2
    FOLDED = 3


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """What is known of one replica id of node `node`.

    `grpc` and `redis` are its addresses, empty if the fleet file has them. `reason` and `at_ms` (wall time) say why it
    leaves and since when. `final` is its last counter, once it is sealed.
    """

    standing: Standing
    node: str
    grpc: str = ""
    redis: str = ""
    reason: str = ""
    at_ms: int = 0
    final: int = 0


class MembersType(CrdtType):
    """The facts about the fleet. A part is a replica id, or `id/id` for a closing."""

    name = "members"
    collection = True

    def value(self, view: View) -> Members:
        """Return the facts. Of concurrent facts about one id, the one that has come furthest counts."""
        facts: dict[ReplicaId, Fact] = {}
        closings: dict[ReplicaId, set[ReplicaId]] = {}
        for part in sorted(view.shown()):
            closed, slash, closer = part.decode().partition("/")
            said = [payload for _, payload in view.live(part) if isinstance(payload, Fact)]
            if slash:
                closings.setdefault(closed, set()).add(closer)
            elif said:
                facts[closed] = max(said)
        return Members(facts, {closed: tuple(sorted(closers)) for closed, closers in closings.items()})

    def decode_part(self, value: Any) -> bytes:
        text = decode_text(value)
        ids = text.split(b"/")
        try:
            for replica in ids:
                check_replica_id(replica.decode("utf-8", "replace"))
        except InvalidArgument as error:
            raise Malformed("part", f"{self.name}: {error}") from error
        if len(ids) > 2:
            raise Malformed("part", f"{self.name}: {brief(value)} is neither an id nor a closing")
        return text

    def encode_payload(self, payload: Payload) -> Any:
        if payload is True:
            return True
        fact: Fact = payload
        match fact.standing:
            case Standing.ACTIVE:
                rest: list[Any] = [fact.grpc, fact.redis]
            case Standing.LEAVING:
                rest = [fact.reason, fact.at_ms]
            case _:
                rest = [fact.reason, fact.at_ms, fact.final]
        return [fact.standing.name.lower(), fact.node, *rest]

    def decode_payload(self, value: Any) -> Payload:
        match value:
            case True:
                return True
            case ["active", str(node), str(grpc), str(redis)] if len(grpc) + len(redis) <= _ADDRESS_LENGTH_MAX:
                return Fact(Standing.ACTIVE, _node(node), grpc=grpc, redis=redis)
            case ["leaving", str(node), str(reason), int(at_ms)] if _is_end(reason, at_ms):
                return Fact(Standing.LEAVING, _node(node), reason=reason, at_ms=at_ms)
            case [("sealed" | "folded") as standing, str(node), str(reason), int(at_ms), int(final)] if (
                _is_end(reason, at_ms) and 0 <= final < _COUNTER_MAX
            ):
                return Fact(Standing[standing.upper()], _node(node), reason=reason, at_ms=at_ms, final=final)
        raise Malformed("payload", f"{self.name}: {brief(value)} is no fact about a member")


MEMBERS = MembersType()


@dataclass(frozen=True, slots=True)
class Members:
    """The fleet as one replica knows it: the fact about each id, and which ids have closed it."""

    facts: Mapping[ReplicaId, Fact]
    closings: Mapping[ReplicaId, tuple[ReplicaId, ...]]

    @classmethod
    def founders(cls, nodes: Iterable[str]) -> Members:
        """Return a fleet in which nothing has changed yet: every node under its own name.

        >>> Members.founders(["n1", "n2"]).active
        {'n1': 'n1', 'n2': 'n2'}
        """
        return cls({node: Fact(Standing.ACTIVE, node) for node in nodes}, {})

    def joined(self, other: Members) -> Members:
        """Return what both know together."""
        facts = dict(self.facts)
        for replica, fact in other.facts.items():
            facts[replica] = max(facts.get(replica, fact), fact)
        closings = {
            closed: tuple(sorted({*self.closings.get(closed, ()), *other.closings.get(closed, ())}))
            for closed in self.closings.keys() | other.closings.keys()
        }
        return Members(facts, closings)

    @property
    def active(self) -> dict[str, ReplicaId]:
        """The id under which each node takes part, the latest if there are several; sorted by node.

        The id of a machine that has gone on as a node of its own does not count: it was recorded after that, by a
        member that the machine had asked before (`crdt_core.membership.namesakes`).
        """
        nodes = {fact.node for fact in self.facts.values()}
        found: dict[str, ReplicaId] = {}
        for replica, fact in self.facts.items():
            machine = machine_of(replica, fact.node)
            if fact.standing is Standing.ACTIVE and (machine == fact.node or machine not in nodes):
                known = found.get(fact.node)
                if known is None or _order(known) < _order(replica):
                    found[fact.node] = replica
        return dict(sorted(found.items()))

    def ids_of(self, node: str) -> list[ReplicaId]:
        """Return all known ids of `node`, the latest last."""
        return sorted((replica for replica, fact in self.facts.items() if fact.node == node), key=_order)

    def standing(self, replica: ReplicaId) -> Standing | None:
        """Return how far the life of `replica` has come; `None` if it is unknown."""
        fact = self.facts.get(replica)
        return fact.standing if fact else None

    @property
    def leaving(self) -> dict[ReplicaId, Fact]:
        """The ids that are leaving and not sealed yet."""
        return {replica: fact for replica, fact in self.facts.items() if fact.standing is Standing.LEAVING}

    @property
    def folded(self) -> dict[ReplicaId, int]:
        """The last counters of the folded ids that ever wrote."""
        return {r: fact.final for r, fact in self.facts.items() if fact.standing is Standing.FOLDED and fact.final}

    def abandoned(self, clock: Mapping[ReplicaId, int]) -> list[ReplicaId]:
        """Return the ids of which `clock` has commits beyond their end, which no remaining member will ever take in.

        A member that the sealer of an id knew has no such commits: it had closed the id, so the sealer knew all that it
        had of the id, and it has taken in no more since. A replica has such commits if it was added by a commit of the
        id that no other member had heard of when the id was sealed: that commit lies beyond the end.

        >>> gone = Fact(Standing.SEALED, "n3", reason=REMOVED_BY_HAND, final=4)
        >>> Members({"n3": gone}, {}).abandoned({"n3": 4}), Members({"n3": gone}, {}).abandoned({"n3": 5, "n4": 1})
        ([], ['n3'])
        """
        ended = ((replica, fact.final) for replica, fact in self.facts.items() if fact.standing > Standing.LEAVING)
        return sorted(replica for replica, final in ended if clock.get(replica, 0) > final)

    @property
    def all_closed(self) -> bool:
        """Whether every active id has closed every leaving id.

        Only then is the end of any leaving id known: one of them may have passed on dots of another.
        """
        taking_part = [replica for replica, fact in self.facts.items() if fact.standing is Standing.ACTIVE]
        return all(set(taking_part) <= set(self.closings.get(replica, ())) for replica in self.leaving)


def machine_of(replica: ReplicaId, node: str) -> str:
    """Return the name of the machine that has the id `replica` of `node`: the bare name, or the one of its addition.

    >>> machine_of("n1.2", "n1"), machine_of("n6-4f2a91", "n6"), machine_of("n6-4f2a91.2-c0de", "n6")
    ('n1', 'n6-4f2a91', 'n6-4f2a91')
    """
    nonce, _, _ = replica.removeprefix(node).partition(".")
    return node + nonce if replica.startswith(f"{node}-") else node


def _order(replica: ReplicaId) -> tuple[int, ReplicaId]:
    _, _, tail = replica.rpartition(".")
    number, _, _ = tail.partition("-")
    return (int(number) if number.isdigit() else 1, replica)


def _is_end(reason: str, at_ms: int) -> bool:
    return len(reason) <= _REASON_LENGTH_MAX and 0 <= at_ms < 2**63


def _node(name: str) -> str:
    try:
        return check_replica_id(name)
    except InvalidArgument as error:
        raise Malformed("node name", error.reason) from error
