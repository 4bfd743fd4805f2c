"""INFO, TIME, LASTSAVE and ROLE: what monitoring asks a server about itself."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any

from crdt_core.commands import COMMANDS as PLAIN_COMMANDS
from crdt_core.commands import read
from workers.resp.commands.rows import client_command
from workers.resp.context import REDIS_VERSION
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.resp.context import Client, Services

__all__ = ["COMMANDS"]

_PAGE_BYTES = resource.getpagesize()
_ONE_LINE = str.maketrans("\r\n,", "  ;")
"""Clients take a comma in a value of INFO for a list."""


def _info(client: Client, args: list[bytes]) -> bytes:
    wanted = {arg.decode("utf-8", "replace").lower() for arg in args}
    everything = wanted & {"all", "everything"}
    usual = everything or not wanted or "default" in wanted
    sections = []
    for title, section in _SECTIONS.items():
        if title.lower() in wanted or (usual if title != "Commandstats" else everything):
            lines = [f"# {title}", *(f"{name}:{value}" for name, value in section(client.services).items())]
            sections.append("".join(f"{line}\r\n" for line in lines))
    return "\r\n".join(sections).encode()


def _server(services: Services) -> dict[str, Any]:
    uptime_s = int(monotonic() - services.server.started_s)
    return {
        "redis_version": REDIS_VERSION,
        "server_name": "deltaic",
        "deltaic_version": version("deltaic"),
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "multiplexing_api": "asyncio",
        "process_id": os.getpid(),
        "run_id": services.server.run_id,
        "tcp_port": services.server.port,
        "server_time_usec": wall_ms() * 1000,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86400,
    }


def _clients(services: Services) -> dict[str, Any]:
    return {
        "connected_clients": len(services.clients),
        "maxclients": services.server.connections_max,
        "blocked_clients": sum(client.is_waiting for client in services.clients.values()),
        "watching_clients": len(services.announcer.watches),
        "pubsub_clients": sum(bool(client.subscriptions) for client in services.clients.values()),
    }


def _memory(_services: Services) -> dict[str, Any]:
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


def _persistence(services: Services) -> dict[str, Any]:
    """Return how writes fare: a commit is saved at once, so its Redis's troubles are those of saving."""
    trouble = services.health.trouble
    reason = trouble.reason if trouble is not None else ""
    return {
        "loading": int("LOADING" in reason),
        "rdb_changes_since_last_save": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": int(services.server.started_at_s),
        "rdb_last_bgsave_status": "err" if "MISCONF" in reason else "ok",
        "aof_enabled": 0,
        "aof_last_write_status": "err" if reason else "ok",
    }


def _stats(services: Services) -> dict[str, Any]:
    counts, now_s = services.statistics, monotonic()
    return {
        "total_connections_received": counts.connections_received,
        "total_commands_processed": counts.commands,
        "instantaneous_ops_per_sec": counts.operations_rate.at(now_s, counts.commands),
        "total_net_input_bytes": counts.input_bytes,
        "total_net_output_bytes": counts.output_bytes,
        "instantaneous_input_kbps": f"{counts.input_rate.at(now_s, counts.input_bytes) / 1024:.2f}",
        "instantaneous_output_kbps": f"{counts.output_rate.at(now_s, counts.output_bytes) / 1024:.2f}",
        "rejected_connections": counts.connections_refused,
        "keyspace_hits": counts.hits,
        "keyspace_misses": counts.misses,
        "total_error_replies": counts.errors.total(),
        "pubsub_channels": len(services.channels.listeners),
        "pubsub_patterns": len(services.channels.by_pattern),
        "expired_keys": services.node.expired_keys - counts.expired_before,
        "evicted_keys": 0,
    }


def _replication(services: Services) -> dict[str, Any]:
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_replid": services.server.run_id.ljust(40, "0"),
        "master_repl_offset": 0,
    }


def _cpu(_services: Services) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"used_cpu_sys": f"{used.ru_stime:.6f}", "used_cpu_user": f"{used.ru_utime:.6f}"}


def _commandstats(services: Services) -> dict[str, Any]:
    counts = services.statistics
    lines = {}
    for name in sorted({*counts.calls, *counts.rejected, *counts.failed}):
        calls, usec = counts.calls.get(name, 0), round(counts.usec.get(name, 0))
        lines[f"cmdstat_{name.decode().lower()}"] = (
            f"calls={calls},usec={usec},usec_per_call={usec / max(1, calls):.2f},"
            f"rejected_calls={counts.rejected[name]},failed_calls={counts.failed[name]}"
        )
    return lines


def _errorstats(services: Services) -> dict[str, Any]:
    return {f"errorstat_{kind}": f"count={count}" for kind, count in sorted(services.statistics.errors.items())}


def _cluster(_services: Services) -> dict[str, Any]:
    return {"cluster_enabled": 0}


def _keyspace(services: Services) -> dict[str, Any]:
    keys = read(services.node.state, PLAIN_COMMANDS[b"DBSIZE"], [], wall_ms(), 0)
    expires = services.node.keys_with_deadline
    return {"db0": f"keys={keys!r},expires={expires},avg_ttl=0"} if keys else {}


def _deltaic(services: Services) -> dict[str, Any]:
    trouble = services.health.trouble
    return {
        **services.node.facts,
        "writable": int(trouble is None),
        "write_trouble": trouble.reason.translate(_ONE_LINE) if trouble is not None else "",
        "write_trouble_seconds": int(monotonic() - trouble.since_s) if trouble is not None else 0,
    }


_SECTIONS: Mapping[str, Callable[[Services], dict[str, Any]]] = {
    "Server": _server,
    "Clients": _clients,
    "Memory": _memory,
    "Persistence": _persistence,
    "Stats": _stats,
    "Replication": _replication,
    "CPU": _cpu,
    "Commandstats": _commandstats,
    "Errorstats": _errorstats,
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


def _time(_client: Client, _args: list[bytes]) -> list[bytes]:
    seconds, ms = divmod(wall_ms(), 1000)
    return [b"%d" % seconds, b"%d" % (ms * 1000)]


def _lastsave(client: Client, _args: list[bytes]) -> int:
    return int(client.services.server.started_at_s)


def _role(_client: Client, _args: list[bytes]) -> list[Any]:
    return [b"master", 0, []]


COMMANDS = (
    client_command(
        "server",
        "INFO [section [section ...]]",
        -1,
        "loading stale",
        _info,
        "Returns figures about the server and the node.",
        complexity="O(N) in all keys, for the section Keyspace",
        categories="dangerous",
        settled=True,
        in_multi="queued",
    ),
    client_command(
        "server",
        "TIME",
        1,
        "loading stale fast",
        _time,
        "Returns the time of day at this node, in seconds and microseconds.",
        settled=True,
        in_multi="queued",
    ),
    client_command(
        "server",
        "LASTSAVE",
        1,
        "loading stale fast",
        _lastsave,
        "Returns when the worker started: every commit is saved.",
        categories="admin dangerous",
        settled=True,
        in_multi="queued",
    ),
    client_command(
        "server",
        "ROLE",
        1,
        "noscript loading stale fast",
        _role,
        "Returns `master`: every node takes writes.",
        categories="admin dangerous",
        settled=True,
        in_multi="queued",
    ),
)
