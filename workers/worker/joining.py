"""Makes a new replica id a member, and replays the unsent writes of the id before it.

A newcomer asks its sponsor for the state until it sees itself among the members; only then does it serve. Commits that
a former incarnation had not sent to anybody are replayed as new writes. That has to wait until every member has closed
the former id: only then is it known which commits were not sent.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.errors import Malformed
from crdt_core.membership.changes import AdmitIncarnation, RetireFormer
from crdt_core.membership.replay import is_final, to_replay
from crdt_core.node.events import Call, ReplayAsked, RoundAsked
from workers.turns.weights import slices
from workers.wire.keys import DELTA_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.deltas import Address, Delta
    from crdt_core.lattice.siblings import Payload
    from crdt_core.membership.decisions import Start
    from workers.config.settings import NodeSettings
    from workers.turns.mailbox import Mailbox

__all__ = ["SponsorSilent", "join", "replay_former"]

log = structlog.get_logger()

_ROUND_PAUSE_S = 0.3
_ROUNDS_MAX = 5
_RETRY_S = 0.2
_UNSENT_BATCH = 1000


class SponsorSilent(Exception):
    """`sponsor` sent no state in several rounds; another member may do so."""

    def __init__(self, sponsor: str) -> None:
        super().__init__(sponsor)
        self.sponsor = sponsor


async def join(start: Start, node: NodeSettings, mailbox: Mailbox) -> None:
    """Return when the replica is a member; at once if it is one already. Raises `SponsorSilent`."""
    name = mailbox.node.name
    if not _joins(mailbox):
        return
    if start.sponsor is None:
        # Without a limit of time, as the commit itself: a Redis that is slow must not end the start.
        admission = AdmitIncarnation(name, start.replica, node.grpc, node.published_redis)
        await mailbox.ask(lambda token: Call(admission, token))
        return
    sponsor = start.sponsor.node
    log.info("join_started", node=name, replica=start.replica, sponsor=sponsor)
    for _ in range(_ROUNDS_MAX):
        result = await mailbox.ask(lambda token: RoundAsked((sponsor,), token))
        if not _joins(mailbox):
            log.info("join_completed", node=name, replica=start.replica, new_items=result.new_items)
            return
        await asyncio.sleep(_ROUND_PAUSE_S)
    raise SponsorSilent(sponsor)


def _joins(mailbox: Mailbox) -> bool:
    return mailbox.node.joins  # A function, because mypy takes a property for constant between two reads.


async def replay_former(own: Redis, start: Start, mailbox: Mailbox) -> None:
    """Replay what each former id had not sent, the earliest first, and then wait until cancelled.

    `own` is the node's own Redis, which holds the logs of the former ids.
    """
    replayed = start.replayed
    for number, former in enumerate(start.formers, 1):
        await _replay(own, former, mailbox, later=start.formers[number:], replayed=replayed)
        replayed = 0
    await asyncio.Event().wait()


async def _replay(
    own: Redis, former: ReplicaId, mailbox: Mailbox, *, later: Sequence[ReplicaId], replayed: int
) -> None:
    """Replay what `former` had not sent, as soon as that is known; the ids `later` are to be replayed afterwards.

    A process before this one has replayed what is up to the counter `replayed`.
    """
    node = mailbox.node
    await mailbox.turned.wait_for(lambda: node.membership.is_admitted)
    await mailbox.ask(lambda token: Call(RetireFormer(node.name, former), token))
    await mailbox.turned.wait_for(lambda: is_final(node.replica, former))
    key = Keys(node.name, former).log
    deltas = await _unsent(own, key, node.replica.clock_with_folded[former])
    asked = to_replay(node.replica, former, deltas)
    if len(asked) < len(deltas):
        log.warning("unsent_writes_dropped", node=node.name, former=former, commits=len(deltas), reason="removed")
    before: dict[Address, Payload] = {}
    pieces = [tuple(piece) for piece in slices(asked, _size)] or [()]
    writes = 0
    for number, piece in enumerate(pieces, 1):
        ends = number == len(pieces)
        writes += await mailbox.ask(
            lambda token: ReplayAsked(former, piece, token, later, replayed, before, ends)  # noqa: B023  used at once
        )
    log.info("unsent_writes_replayed", node=node.name, former=former, commits=len(asked), writes=writes)
    with suppress(RedisError, OSError):
        await own.unlink(key)


def _size(delta: Delta) -> int:
    return len(encode_delta(delta))


async def _unsent(own: Redis, key: str, sent: int) -> list[Delta]:
    """Return the deltas in the log at `key` with counters above `sent`. An entry that is no delta is left out.

    Such an entry was not written by the log's owner. While Redis is away, this tries again and again.
    """
    deltas: list[Delta] = []
    start = sent + 1
    while True:
        try:
            entries: Any = await own.xrange(key, f"{start}-0", "+", count=_UNSENT_BATCH)
        except (RedisError, OSError):
            await asyncio.sleep(_RETRY_S)
            continue
        if not entries:
            return deltas
        for entry, fields in entries:
            start = int(entry.split(b"-")[0]) + 1
            with suppress(Malformed):
                deltas.append(decode_delta(fields.get(DELTA_FIELD, b"")))
