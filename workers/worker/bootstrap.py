"""How a worker that starts comes by the id under which it goes on: see `crdt_core.membership.identity`, which decides.

Here is what a decision takes: reading what all Redis say, having a running member write the new id down, and noting in
the node's own header what it is about to do, so that one that is killed meanwhile begins again where it was.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from crdt_core.codec.messages import Admit, encode_message
from crdt_core.errors import CorruptState, Malformed, PeerError, StoreUnavailable, UnknownNode, WorldError
from crdt_core.membership.identity import ComeBack, Join, Resume, Wait, decide
from workers.config.redis_url import publishable
from workers.replication.heartbeat import beat
from workers.storage.evidence import read_evidence
from workers.wire.keys import MESSAGE_FIELD, Keys
from workers.wire.retry import until_redis_answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.evidence import NodeEvidence, OperatorOverride
    from crdt_core.membership.identity import Sponsor
    from workers.config.settings import NodeSettings
    from workers.storage.store import Store
    from workers.wire.peers import Peers

__all__ = ["Bootstrap", "begin"]

log = structlog.get_logger()

_AGAIN_S = 0.3
_PATIENCE_S = 10.0
_READ_S = 2.0
_ANSWER_S = 5.0
_ASK_AGAIN_S = 0.2
_NONCE_BYTES = 2
_OPTIONS = {"trusting": "--trust-redis", "unsponsored": "--unsponsored"}


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Under which id the node goes on. `sponsor`: whom it has to ask for its state before it may serve.

    `unsponsored`: it has to write itself down. `former`: the id whose unsent writes are to be replayed as new ones.
    """

    replica: ReplicaId
    founders: Sequence[str]
    sponsor: Sponsor | None = None
    unsponsored: bool = False
    former: ReplicaId = ""


async def begin(name: str, node: NodeSettings, store: Store, peers: Peers, override: OperatorOverride) -> Bootstrap:
    """Finds out, however long it takes; `store` is claimed. Raises `NotAMember`, `CorruptState`, `Fenced`."""
    await until_redis_answers(partial(_forget_whom_it_met, name, peers.redis(name)), node.redis)
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    silent: set[str] = set()
    said = ""
    while True:
        try:
            own = await until_redis_answers(partial(read_evidence, name, peers.redis(name)), node.redis)
        except Malformed as error:
            raise CorruptState(Keys(name).header, str(error)) from error
        others = await _evidence_of_peers(name, own, peers, silent)
        patient = asyncio.get_running_loop().time() < deadline
        nonce = secrets.token_hex(_NONCE_BYTES)
        decision = decide(name, own, others, nonce=nonce, patient=patient, override=override)
        if isinstance(decision, Wait):
            if decision.reason != said:
                said = decision.reason
                log.warning("node_waits", node=name, reason=said, **_remedy(decision))
            with suppress(RedisError, OSError):
                await beat(peers.redis(name), name, node.grpc, serving=False, waits=said, **_remedy(decision))
            await asyncio.sleep(_AGAIN_S)
            continue
        if isinstance(decision, ComeBack):
            log.warning("node_comes_back", node=name, replica=decision.replica, reason=decision.reason)
            if decision.sponsor and not await _is_admitted(name, node, decision.replica, decision.sponsor, peers):
                silent.add(decision.sponsor.node)
                continue
        return await _note(own, decision, store)


async def _forget_whom_it_met(name: str, redis: Redis) -> None:
    """A new life has read nothing yet."""
    await redis.delete(Keys(name).met)


def _remedy(decision: Wait) -> dict[str, str]:
    """By which option of `deltaic replica` the waiting could be ended, if by any; its help says when that is safe."""
    return {"remedy": _OPTIONS[decision.override]} if decision.override else {}


async def _evidence_of_peers(
    name: str, own: NodeEvidence, peers: Peers, silent: set[str]
) -> dict[str, NodeEvidence | None]:
    """The records of all others; a member that did not answer lately is not counted among the running ones."""
    peers.members = own.members
    nodes = sorted({*peers.named(), *own.members.active} - {name})

    async def one(node: str) -> NodeEvidence | None:
        try:
            async with asyncio.timeout(_READ_S):
                record = await read_evidence(node, peers.redis(node))
        except (RedisError, OSError, TimeoutError, WorldError, PeerError, UnknownNode) as error:
            log.info("peer_unreadable", node=name, peer=node, reason=str(error))
            return None
        return replace(record, running=False) if node in silent else record

    found = await asyncio.gather(*map(one, nodes))
    silent.clear()
    return dict(zip(nodes, found, strict=True))


async def _is_admitted(name: str, node: NodeSettings, new: ReplicaId, sponsor: Sponsor, peers: Peers) -> bool:
    """Has `sponsor` write the new id down; whether that can be read there within some seconds."""
    message = encode_message(Admit(name, new, node.grpc, publishable(node.redis)))
    redis = peers.redis(sponsor.node)
    try:
        async with asyncio.timeout(_ANSWER_S):
            key = Keys(sponsor.node).inbox
            await redis.xadd(key, {MESSAGE_FIELD: message}, maxlen=peers.inbox_entries_max, approximate=True)
            while new not in (await read_evidence(sponsor.node, redis)).members.facts:  # noqa: ASYNC110
                await asyncio.sleep(_ASK_AGAIN_S)
    except (RedisError, OSError, TimeoutError, StoreUnavailable) as error:
        log.warning("sponsor_silent", node=name, sponsor=sponsor.node, reason=str(error) or "no answer")
        return False
    return True


async def _note(own: NodeEvidence, decision: Resume | Join | ComeBack, store: Store) -> Bootstrap:
    """Writes into the node's own header what it is about to be."""
    if isinstance(decision, Resume):
        if own.replica != decision.replica:
            await store.begin(decision.replica, {"founders": orjson.dumps(list(decision.founders))})
        return Bootstrap(decision.replica, decision.founders, former=own.former)
    fresh, founders, former = decision.fresh, own.founders, own.former
    if fresh:
        founders, former = (), own.former or own.replica
    if own.replica != decision.replica:
        fields = {"joining": b"1", "restored": b"", "founders": orjson.dumps(list(founders)), "former": former.encode()}
        await store.begin(decision.replica, fields, discard=fresh)
    return Bootstrap(decision.replica, founders, decision.sponsor, decision.sponsor is None, former)
