"""What a starting node may decide, and how it starts then: see `crdt_core.membership.identity`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from crdt_core.membership.incarnations import encode_formers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.evidence import NodeEvidence

__all__ = ["ComeBack", "Decision", "Join", "Resume", "Sponsor", "Start", "Wait", "start_of"]


@dataclass(frozen=True, slots=True)
class Sponsor:
    """The member that records a node's new replica id, or gives a joining node its state."""

    node: str
    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on as `replica`, in the fleet that was created with the nodes `founders`."""

    replica: ReplicaId
    founders: Sequence[str]


@dataclass(frozen=True, slots=True)
class Join:
    """Fetch the state from `sponsor`, as `replica`. The members have recorded that id already.

    `fresh`: discard the state that the node's Redis holds; only its unsent writes are replayed.
    """

    replica: ReplicaId
    sponsor: Sponsor
    fresh: bool


@dataclass(frozen=True, slots=True)
class ComeBack:
    """Have `sponsor` record the new id `replica`, then fetch what is missing from `sponsor`.

    A `sponsor` of `None` says that there is no other member: the node records its new id itself. `fresh` is the same as
    in `Join`. `renamed`: the name under which the node goes on; empty if it keeps its own.
    """

    replica: ReplicaId
    sponsor: Sponsor | None
    reason: str
    fresh: bool
    renamed: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again soon: nothing can be decided yet, because of `reason`.

    `override` names the field of `OperatorOverride` that would end the waiting; empty if none would.
    """

    reason: str
    override: str = ""


Decision = Resume | Join | ComeBack | Wait


@dataclass(frozen=True, slots=True)
class Start:
    """The replica id under which the node goes on, and what it has to do before it may serve.

    - `sponsor`: the member from which the node fetches its state. `None` if it has its state; it only has to record
      itself as a member then, if its id is new.
    - `formers`: the ids whose unsent writes the node replays as new ones, the earliest first.
    - `header`: the fields to write into the node's own header first; `None` if the header has this id already.
    - `discard`: before these fields, the state that the node's Redis holds is discarded.
    - `replayed`: the unsent writes of the first of `formers` up to this counter are replayed already.
    - `renamed`: the name under which the node goes on; empty if it keeps its own.
    - `departed`: ids that leave, or have left. The node does not read their logs, even if it has not heard of that yet.
    """

    replica: ReplicaId
    founders: Sequence[str] = ()
    sponsor: Sponsor | None = None
    formers: Sequence[ReplicaId] = ()
    header: Mapping[str, bytes] | None = None
    discard: bool = False
    replayed: int = 0
    renamed: str = ""
    departed: frozenset[ReplicaId] = frozenset()


def start_of(
    own: NodeEvidence, decision: Resume | Join | ComeBack, departed: frozenset[ReplicaId] = frozenset()
) -> Start:
    """Return how the node, whose evidence is `own`, starts by `decision`; `departed` is as in `Start`.

    A process that is killed in the middle of the start leaves a header from which the next process decides the same.
    """
    is_new = own.replica != decision.replica
    if isinstance(decision, Resume):
        header = {"founders": _encode_names(decision.founders)}
        header_if_new = header if is_new else None
        return Start(
            decision.replica,
            decision.founders,
            formers=own.formers,
            header=header_if_new,
            replayed=own.replayed,
            departed=departed,
        )
    founders, formers = ((), _unsent(own)) if decision.fresh else (own.founders, own.formers)
    header = {"joining": b"1", "restored": b"", "founders": _encode_names(founders), "former": encode_formers(formers)}
    if own.damaged:
        header |= {"damaged": b"", "unweighed": b"" if decision.fresh else b"1"}
    return Start(
        decision.replica,
        founders,
        decision.sponsor,
        formers,
        header if is_new else None,
        discard=decision.fresh,
        replayed=own.replayed,
        renamed=decision.renamed if isinstance(decision, ComeBack) else "",
        departed=departed,
    )


def _unsent(own: NodeEvidence) -> Sequence[ReplicaId]:
    """Return the ids whose unsent writes only logs hold once the state of `own` is discarded.

    These are the ids that wait for their replay, and the latest id. If others wait, that one counts only if it wrote.
    """
    has_written = own.replica and (own.clock[own.replica] or not own.formers)
    return (*own.formers, own.replica) if has_written else own.formers


def _encode_names(names: Sequence[str]) -> bytes:
    return orjson.dumps(list(names))
