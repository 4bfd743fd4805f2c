"""Shows how a node that was added comes up, until it serves: as a progress bar, or one line per step.

The progress comes from the node's own Redis. The lines are for output that is no terminal.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError
from rich.console import Console

from crdt_core.errors import DeltaicError
from crdt_core.membership.incarnations import incarnation
from workers.cli.words import printable, size
from workers.replication.heartbeat import fresh_fields
from workers.storage.evidence import read_evidence
from workers.wire.keys import FLEET
from workers.wire.peers import redis_client

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.config.settings import NodeSettings

__all__ = ["JoinProgress", "join_progress", "watch_joining"]

_READ_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class JoinProgress:
    """How far a node has come, in `words`, and as `done` parts `of` all parts where that is known."""

    words: str
    up: bool = False
    done: int = 0
    of: int | None = None


def join_progress(heartbeat: dict[str, Any] | None) -> JoinProgress:
    """Return the progress that the fields of a fresh heartbeat show; `None` stands for a missing heartbeat.

    >>> join_progress({"joins": {"peer": "n2", "done": 700, "of": 20000, "bytes": 91000}}).words
    'joins from n2: 700 of 20000 parts, 91 kB'
    """
    if heartbeat is None:
        return JoinProgress("its worker does not run yet")
    if heartbeat.get("serving"):
        return JoinProgress("up", up=True)
    if heartbeat.get("waits"):
        remedy = f" (see deltaic replica --help: {heartbeat['remedy']})" if heartbeat.get("remedy") else ""
        return JoinProgress(f"waits: {printable(str(heartbeat['waits']))}{remedy}")
    match heartbeat.get("joins"):
        case {"peer": str(peer), "done": int(done), "of": int(of), "bytes": int(arrived)}:
            words = f"joins from {printable(peer)}: {done} of {of} parts, {size(arrived)}"
            return JoinProgress(words, done=done, of=of)
        case {}:
            return JoinProgress("joins: asks for the state")
    return JoinProgress("starts")


async def watch_joining(name: str, replica: str, node: NodeSettings) -> None:
    """Show the progress of node `name`; return when it serves as `replica`, or as a later incarnation of itself."""
    console = Console()
    redis = redis_client(node.redis)
    try:
        if not console.is_terminal:
            await _print_steps(name, replica, redis, console)
            return
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415  `deltaic status` shows no bar

        columns = (TextColumn("{task.fields[node]}", style="bold"), BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as display:
            bar = display.add_task("", total=None, node=name)
            while not (progress := await _read_progress(name, replica, redis)).up:
                display.update(bar, description=progress.words, total=progress.of, completed=progress.done)
                await asyncio.sleep(_READ_INTERVAL_S)
            display.update(bar, description=progress.words, total=1, completed=1)
    finally:
        await redis.aclose()


async def _print_steps(name: str, replica: str, redis: Redis, console: Console) -> None:
    printed = ""
    while True:
        progress = await _read_progress(name, replica, redis)
        if progress.words != printed:
            printed = progress.words
            console.print(f"{name}: {printed}", soft_wrap=True, highlight=False)
        if progress.up:
            return
        await asyncio.sleep(_READ_INTERVAL_S)


async def _read_progress(name: str, replica: str, redis: Redis) -> JoinProgress:
    try:
        evidence = await read_evidence(name, redis)
        beat, redis_time = await redis.hget(FLEET, name), await redis.time()
    except (RedisError, OSError, DeltaicError) as error:
        return JoinProgress(f"its Redis does not answer: {printable(str(error))}")
    heartbeat = fresh_fields(beat, redis_time)
    is_former = not evidence.replica or incarnation(evidence.replica, name) < incarnation(replica, name)
    if heartbeat is not None and heartbeat.get("serving") and (evidence.joining or is_former):
        return JoinProgress("starts")
    return join_progress(heartbeat)
