"""What tools and client libraries ask a server about itself: INFO, CONFIG GET, COMMAND, TIME and the like."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.commands import COMMANDS, OK, Command, ErrorReply, Map, SetOf, Status, read
from workers.clock import wall_ms
from workers.resp.channels import glob
from workers.resp.handler import Handler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.resp.connection import Connection
    from workers.resp.face import RespFace

__all__ = ["HANDLERS"]

_PAGE_BYTES = resource.getpagesize()


def _info(connection: Connection, args: list[bytes]) -> bytes:
    wanted = {arg.decode("utf-8", "replace").lower() for arg in args}
    everything = not wanted or wanted & {"all", "default", "everything"}
    sections = []
    for title, section in _SECTIONS.items():
        if everything or title.lower() in wanted:
            lines = [f"# {title}", *(f"{name}:{value}" for name, value in section(connection.face).items())]
            sections.append("".join(f"{line}\r\n" for line in lines))
    return "\r\n".join(sections).encode()


def _server(face: RespFace) -> dict[str, Any]:
    return {
        "redis_version": face.redis_version.decode(),
        "server_name": "deltaic",
        "deltaic_version": version("deltaic"),
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "multiplexing_api": "asyncio",
        "process_id": os.getpid(),
        "run_id": face.run_id,
        "tcp_port": face.port,
        "server_time_usec": wall_ms() * 1000,
        "uptime_in_seconds": int(face.now_s() - face.since_s),
        "uptime_in_days": int(face.now_s() - face.since_s) // 86400,
    }


def _clients(face: RespFace) -> dict[str, Any]:
    return {
        "connected_clients": len(face.connections),
        "maxclients": face.connections_max,
        "blocked_clients": sum(connection.is_waiting for connection in face.connections.values()),
        "watching_clients": len(face.watches),
        "pubsub_clients": sum(bool(c.channels or c.patterns) for c in face.connections.values()),
    }


def _memory(_face: RespFace) -> dict[str, Any]:
    resident = _resident_bytes()
    return {
        "used_memory": resident,
        "used_memory_human": f"{resident / (1 << 20):.2f}M",
        "used_memory_rss": resident,
        "used_memory_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "maxmemory": 0,
        "maxmemory_human": "0B",
        "maxmemory_policy": "noeviction",
        "mem_fragmentation_ratio": "1.00",
    }


def _persistence(face: RespFace) -> dict[str, Any]:
    return {
        "loading": 0,
        "rdb_changes_since_last_save": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": int(face.since_s_wall),
        "rdb_last_bgsave_status": "ok",
        "aof_enabled": 0,
    }


def _stats(face: RespFace) -> dict[str, Any]:
    return {
        "total_connections_received": face.connections_received,
        "rejected_connections": face.connections_refused,
        "total_commands_processed": face.commands,
        "pubsub_channels": len(face.channels.of),
        "pubsub_patterns": len(face.channels.by_pattern),
        "expired_keys": 0,
        "evicted_keys": 0,
    }


def _replication(face: RespFace) -> dict[str, Any]:
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_replid": face.run_id.ljust(40, "0"),
        "master_repl_offset": 0,
    }


def _cpu(_face: RespFace) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"used_cpu_sys": f"{used.ru_stime:.6f}", "used_cpu_user": f"{used.ru_utime:.6f}"}


def _cluster(_face: RespFace) -> dict[str, Any]:
    return {"cluster_enabled": 0}


def _keyspace(face: RespFace) -> dict[str, Any]:
    keys = read(face.mailbox.state, COMMANDS[b"DBSIZE"], [], wall_ms(), 0)
    return {"db0": f"keys={keys!r},expires=0,avg_ttl=0"} if keys else {}


def _deltaic(face: RespFace) -> dict[str, Any]:
    node, confirmed = face.mailbox.node, face.mailbox.confirmed
    return {
        "node": node.name,
        "replica": node.replica.id,
        "peers": ",".join(node.peers),
        "paused": ",".join(sorted(face.links.paused)),
        "clock": orjson.dumps(confirmed.clock).decode(),
        "stable": orjson.dumps(confirmed.stable).decode(),
        "digest": f"{confirmed.digest:016x}",
        "markers": confirmed.markers,
        **{name: node.counts[name] for name in sorted(node.counts)},
    }


_SECTIONS: Mapping[str, Callable[[RespFace], dict[str, Any]]] = {
    "Server": _server,
    "Clients": _clients,
    "Memory": _memory,
    "Persistence": _persistence,
    "Stats": _stats,
    "Replication": _replication,
    "CPU": _cpu,
    "Cluster": _cluster,
    "Keyspace": _keyspace,
    "Deltaic": _deltaic,
}


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _config(connection: Connection, args: list[bytes]) -> Any:
    match [args[0].upper(), *args[1:]]:
        case [b"GET", *patterns] if patterns:
            matchers = [glob(pattern.lower()) for pattern in patterns]
            parameters = _parameters(connection.face).items()
            return Map([pair for pair in parameters if any(matcher.fullmatch(pair[0]) for matcher in matchers)])
        case [b"SET", name, _, *_]:
            shown = name[:128].decode("utf-8", "backslashreplace")
            return ErrorReply(f"ERR CONFIG SET failed - '{shown}' cannot be set here: settings stand in the fleet file")
        case [b"RESETSTAT"]:
            connection.face.reset_counts()
            return OK
    return connection.face.unknown_subcommand(b"CONFIG", args[0])


def _parameters(face: RespFace) -> dict[bytes, bytes]:
    return {
        b"appendonly": b"no",
        b"bind": face.host.encode(),
        b"databases": b"1",
        b"maxclients": b"%d" % face.connections_max,
        b"maxmemory": b"0",
        b"maxmemory-policy": b"noeviction",
        b"notify-keyspace-events": b"AKE",
        b"port": b"%d" % face.port,
        b"proto-max-bulk-len": b"%d" % face.bulk_bytes_max,
        b"save": b"",
        b"timeout": b"0",
    }


def _command(connection: Connection, args: list[bytes]) -> Any:
    table = connection.face.commands_by_name
    asked, names = args[0].upper() if args else b"INFO", [name.upper() for name in args[1:]]
    match asked:
        case b"COUNT":
            return len(table)
        case b"INFO":
            return [_description(table[name]) if name in table else None for name in names or table]
        case b"LIST":
            return [name.lower() for name in table]
        case b"DOCS":
            return Map([(name.lower(), _DOCS) for name in names or table if name in table])
        case b"GETKEYS" if names:
            return _keys_of(table.get(names[0]), args[1:])
    return connection.face.unknown_subcommand(b"COMMAND", args[0])


_DOCS = Map(
    [
        (b"summary", b"As in Redis; what concurrent writes give stands in the documentation of Deltaic."),
        (b"since", b"0.1.0"),
        (b"group", b"generic"),
    ]
)


def _description(entry: Command | Handler) -> list[Any]:
    if isinstance(entry, Command):
        flags = [Status("write") if entry.write else Status("readonly")]
        first, last, step = entry.keys
    else:
        flags, (first, last, step) = [Status("noscript"), Status("loading")], (0, 0, 0)
    return [entry.name.lower(), entry.arity, SetOf(list(flags)), first, last, step, SetOf([]), [], [], []]


def _keys_of(entry: Command | Handler | None, request: list[bytes]) -> Any:
    if entry is None:
        return ErrorReply("ERR Invalid command specified")
    first, last, step = entry.keys if isinstance(entry, Command) else (0, 0, 0)
    if not first:
        return ErrorReply("ERR The command has no key arguments")
    return request[first : last + 1 if last >= 0 else len(request) + last + 1 : step]


def _time(_connection: Connection, _args: list[bytes]) -> list[bytes]:
    seconds, ms = divmod(wall_ms(), 1000)
    return [b"%d" % seconds, b"%d" % (ms * 1000)]


def _lastsave(connection: Connection, _args: list[bytes]) -> int:
    return int(connection.face.since_s_wall)


def _role(_connection: Connection, _args: list[bytes]) -> list[Any]:
    return [b"master", 0, []]


def _empty_log(connection: Connection, args: list[bytes]) -> Any:
    """SLOWLOG and LATENCY keep nothing here, and say so."""
    match args[0].upper():
        case b"GET" | b"LATEST" | b"HISTORY":
            return []
        case b"LEN":
            return 0
        case b"RESET":
            return OK
    return connection.face.unknown_subcommand(b"SLOWLOG", args[0])


HANDLERS = (
    Handler(b"INFO", -1, _info, queued=True),
    Handler(b"CONFIG", -2, _config, queued=True),
    Handler(b"COMMAND", -1, _command, queued=True),
    Handler(b"TIME", 1, _time, queued=True),
    Handler(b"LASTSAVE", 1, _lastsave, queued=True),
    Handler(b"ROLE", 1, _role, queued=True),
    Handler(b"SLOWLOG", -2, _empty_log),
    Handler(b"LATENCY", -2, _empty_log),
)
