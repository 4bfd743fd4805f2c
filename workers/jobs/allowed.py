"""Says which jobs this fleet's RQ workers may run: the periodic jobs of `workers.jobs`, for the node of their queue.

RQ runs whatever function a job in its queue names, and its callbacks, too. So whoever can write to the Redis of a queue
could run programs on the host of its workers. What is allowed here is a list: the functions, their one argument, and
the fields that RQ itself writes for such a job. Everything else is refused, because RQ would act on most of it: a
callback is called, a webhook is sent, a dependent or a repetition is queued.

Values are checked before RQ reads them. No function is looked up by a name out of Redis.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import orjson

from crdt_core.errors import Malformed, brief
from workers.jobs.maintenance import audit, compact, gossip_round
from workers.wire.keys import queue_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.jobs.fleet_access import Report

__all__ = ["PERIODIC_JOBS", "checked_fields"]

PERIODIC_JOBS: Mapping[str, Callable[[str], Report]] = {
    f"{job.__module__}.{job.__name__}": job for job in (gossip_round, compact, audit)
}
"""The jobs that may be run, by the name that stands in the queue."""

_TEXT = re.compile(rb"[ -~]*")
_NUMBER = re.compile(rb"\d{1,9}")
_CHECKS = {
    **dict.fromkeys(("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"), _TEXT),
    **dict.fromkeys(("origin", "description", "worker_name", "status"), _TEXT),
    **dict.fromkeys(("timeout", "result_ttl", "failure_ttl", "ttl"), _NUMBER),
}
_LEFT_OUT = frozenset({"result", "exc_info"})
"""What RQ has noted about an earlier run. Nobody needs it to run the job again."""
_BYTES_MAX = 1024


def checked_fields(raw: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the fields of a job's hash that RQ may read; raises `Malformed` if the job is not allowed.

    >>> data = b'["workers.jobs.audit",null,["n1"],{}]'
    >>> checked_fields({b"data": data, b"origin": b"deltaic-n1"}) == {b"data": data, b"origin": b"deltaic-n1"}
    True
    """
    fields = {}
    for raw_name, value in raw.items():
        name = raw_name.decode("utf-8", "backslashreplace")
        if name in _LEFT_OUT or not value:
            continue
        if name == "data":
            fields[raw_name] = _plain_data(value, raw.get(b"origin", b""))
        elif name not in _CHECKS:
            raise Malformed("job", f"has the field {brief(name)}, which no job of this fleet has")
        elif len(value) > _BYTES_MAX or not _CHECKS[name].fullmatch(value):
            raise Malformed("job", f"{name} cannot be {brief(value)}")
        else:
            fields[raw_name] = value
    if b"data" not in fields:
        raise Malformed("job", "has no data")
    return fields


def _plain_data(value: bytes, origin: bytes) -> bytes:
    """Return the call in a job's data as JSON; raises `Malformed` unless it is a periodic job for the queue's node."""
    try:
        call = orjson.loads(_decompressed(value))
    except orjson.JSONDecodeError:
        raise Malformed("job", "its data is not JSON") from None
    for name in PERIODIC_JOBS:
        for node in _node_of(call):
            if call == [name, None, [node], {}] and origin == queue_name(node).encode():
                return orjson.dumps(call)
    raise Malformed("job", f"{brief(call)} in the queue {brief(origin)} is no periodic job of that queue's node")


def _node_of(call: object) -> list[str]:
    """Return the one argument of a call if it has one and it is a text, else nothing."""
    match call:
        case [_, _, [str(node)], _]:
            return [node]
        case _:
            return []


def _decompressed(value: bytes) -> bytes:
    """Return the data, which RQ compresses; of something large no more than a little over the limit is unpacked."""
    try:
        data = zlib.decompressobj().decompress(value, _BYTES_MAX + 1)
    except zlib.error:
        data = value
    if len(data) > _BYTES_MAX:
        raise Malformed("job", f"its data is longer than {_BYTES_MAX} bytes")
    return data
