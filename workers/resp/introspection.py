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
from workers.resp.channels import glob
from workers.resp.clients import USER
from workers.resp.documentation import documentation
from workers.resp.handler import Handler
from workers.resp.subcommands import Subcommand, family
from workers.system.clock import wall_ms

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
        "used_memory_peak": max(resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024),
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
    expires = len(face.mailbox.node.replica.catalogue.expiring)
    return {"db0": f"keys={keys!r},expires={expires},avg_ttl=0"} if keys else {}


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
        "markers": confirmed.tombstones,
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


def _config_get(connection: Connection, args: list[bytes]) -> Map:
    matchers = [glob(pattern.lower()) for pattern in args]
    parameters = _parameters(connection.face).items()
    return Map([pair for pair in parameters if any(matcher.fullmatch(pair[0]) for matcher in matchers)])


def _config_set(connection: Connection, args: list[bytes]) -> Any:
    """A setting may be set to what it is; the others stand in the fleet file."""
    parameters = _parameters(connection.face)
    pairs = list(zip(args[::2], args[1::2], strict=False))
    for name, value in pairs:
        shown = name[:128].decode("utf-8", "backslashreplace")
        if len(args) % 2 or name.lower() not in parameters:
            return ErrorReply(f"ERR Unknown option or number of arguments for CONFIG SET - '{shown}'")
        if not _holds(name.lower(), value, parameters[name.lower()]):
            return ErrorReply(
                f"ERR CONFIG SET failed (possibly related to argument '{shown}') - settings stand in the fleet file"
            )
    return OK


def _holds(name: bytes, wanted: bytes, value: bytes) -> bool:
    """Whether what is wanted is so already: of notifications, all that anybody may ask for are sent."""
    if name == b"notify-keyspace-events":
        return bool({b"K", b"E"} & _letters(wanted)) and _letters(wanted) <= _letters(b"KEAg$shx")
    return wanted == value


def _letters(flags: bytes) -> set[bytes]:
    return {flags[at : at + 1] for at in range(len(flags))}


def _config_rewrite(_connection: Connection, _args: list[bytes]) -> ErrorReply:
    return ErrorReply("ERR The server is running without a config file")


def _config_resetstat(connection: Connection, _args: list[bytes]) -> Any:
    connection.face.reset_counts()
    return OK


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
    """COMMAND alone is COMMAND INFO of all."""
    return _COMMAND.run(connection, args or [b"INFO"])


def _command_count(connection: Connection, _args: list[bytes]) -> int:
    return len(connection.face.commands_by_name)


def _command_info(connection: Connection, args: list[bytes]) -> list[Any]:
    table = connection.face.commands_by_name
    names = [name.upper() for name in args] or table
    return [_description(table[name]) if name in table else None for name in names]


def _command_list(connection: Connection, args: list[bytes]) -> Any:
    names = [name.lower() for name in connection.face.commands_by_name]
    match [arg.upper() for arg in args]:
        case []:
            return names
        case [b"FILTERBY", b"PATTERN", _]:
            matcher = glob(args[2].lower())
            return [name for name in names if matcher.fullmatch(name)]
        case [b"FILTERBY", b"MODULE" | b"ACLCAT", _]:
            return []
    return ErrorReply("ERR syntax error")


def _command_docs(connection: Connection, args: list[bytes]) -> Map:
    table = connection.face.commands_by_name
    names = [name.upper() for name in args] or table
    return Map([(name.lower(), documentation(name)) for name in names if name in table])


def _command_getkeys(connection: Connection, args: list[bytes]) -> Any:
    return _keys_of(connection.face.commands_by_name.get(args[0].upper()), args)


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


def _nothing(_connection: Connection, _args: list[bytes]) -> list[Any]:
    """What SLOWLOG and LATENCY keep here, and which modules there are."""
    return []


def _none(_connection: Connection, _args: list[bytes]) -> int:
    return 0


def _kept_nothing(_connection: Connection, _args: list[bytes]) -> Any:
    return OK


def _whoami(_connection: Connection, _args: list[bytes]) -> bytes:
    return USER


def _no_cluster(_connection: Connection, _args: list[bytes]) -> ErrorReply:
    return ErrorReply("ERR This instance has cluster support disabled")


_COMMAND = family(
    b"COMMAND",
    (
        Subcommand("COUNT", 2, "How many commands there are.", _command_count),
        Subcommand("DOCS [<command> ...]", -2, "What the commands are for, and their arguments.", _command_docs),
        Subcommand("GETKEYS <command> [<arg> ...]", -3, "The keys among the arguments.", _command_getkeys),
        Subcommand("INFO [<command> ...]", -2, "Arity, flags and places of keys.", _command_info),
        Subcommand("LIST [FILTERBY PATTERN <pattern>]", -2, "The names of the commands.", _command_list),
    ),
    absent="GETKEYSANDFLAGS",
)

HANDLERS = (
    Handler(b"INFO", -1, _info, queued=True),
    family(
        b"CONFIG",
        (
            Subcommand("GET <pattern> [<pattern> ...]", -3, "Settings that clients ask for.", _config_get),
            Subcommand("RESETSTAT", 2, "Count what INFO shows from now on.", _config_resetstat),
            Subcommand("REWRITE", 2, "Refused: settings stand in the fleet file.", _config_rewrite),
            Subcommand("SET <name> <value> [...]", -4, "Only to what it is: settings stand there.", _config_set),
        ),
        queued=True,
    ),
    Handler(b"COMMAND", -1, _command, queued=True),
    Handler(b"TIME", 1, _time, queued=True),
    Handler(b"LASTSAVE", 1, _lastsave, queued=True),
    Handler(b"ROLE", 1, _role, queued=True),
    family(
        b"SLOWLOG",
        (
            Subcommand("GET [<count>]", -2, "Nothing: no such log is kept.", _nothing),
            Subcommand("LEN", 2, "Its length: 0.", _none),
            Subcommand("RESET", 2, "Forget nothing.", _kept_nothing),
        ),
    ),
    family(
        b"LATENCY",
        (
            Subcommand("HISTORY <event>", 3, "Nothing: no such history is kept.", _nothing),
            Subcommand("LATEST", 2, "Nothing, likewise.", _nothing),
            Subcommand("RESET [<event> ...]", -2, "Forget nothing.", _none),
        ),
        absent="DOCTOR GRAPH HISTOGRAM",
    ),
    family(
        b"ACL",
        (Subcommand("WHOAMI", 2, "The only user.", _whoami),),
        absent="CAT DELUSER DRYRUN GENPASS GETUSER LIST LOAD LOG SAVE SETUSER USERS",
    ),
    family(
        b"MODULE", (Subcommand("LIST", 2, "Nothing: there are no modules.", _nothing),), absent="LOAD LOADEX UNLOAD"
    ),
    Handler(b"CLUSTER", -2, _no_cluster),
    Handler(b"READONLY", 1, _no_cluster),
    Handler(b"READWRITE", 1, _no_cluster),
    Handler(b"ASKING", 1, _no_cluster),
)
