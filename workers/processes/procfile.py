"""The Procfile: the processes that a fleet consists of. `deltaic procfile` writes it, and `deltaic fleet` reads it.

    n1: deltaic keep -- deltaic replica n1

Every command runs under `deltaic keep`. So with any runner of Procfiles, a replica that dies does not end the others.
"""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from honcho.environ import parse_procfile

from crdt_core.errors import SettingsError
from workers.processes.embedded import wants_embedded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from workers.config.settings import FleetSettings

__all__ = ["fleet_commands", "is_as_printed", "procfile_text", "read_procfile", "replica_of", "runs_valkey"]

_HEADER = """\
# The processes of the fleet, as `deltaic procfile` writes them. `deltaic keep` restarts a process that dies.
"""
_KEPT = "deltaic keep -- "


def fleet_commands(settings: FleetSettings) -> dict[str, str]:
    """Return the command of each process, by name: the server if embedded, a replica per node, then jobs and cron.

    Nodes whose RQ queues are in one Redis share its RQ workers. Otherwise each node has its own.
    """
    jobs = {"jobs": "deltaic jobs", "cron": "deltaic cron"}
    if len({node.jobs_url for node in settings.nodes.values()}) > 1:
        jobs = {f"{name}-{node}": f"{call} --node {node}" for node in settings.nodes for name, call in jobs.items()}
    server = {"valkey": "deltaic valkey"} if wants_embedded(settings) else {}
    commands = [
        *((_service_name(settings, name), call) for name, call in server.items()),
        *((node, f"deltaic replica {node}") for node in settings.nodes),
        *((_service_name(settings, name), call) for name, call in jobs.items()),
    ]
    return {name: f"{_KEPT}{call}" for name, call in commands}


def _service_name(settings: FleetSettings, name: str) -> str:
    """Return `name`, with an underscore before it if a node has that name. No node's name begins with an underscore."""
    return f"_{name}" if name in settings.nodes else name


def procfile_text(commands: Mapping[str, str]) -> str:
    """Return the text of a Procfile that runs `commands`, by name."""
    return _HEADER + "".join(f"{name}: {command}\n" for name, command in commands.items())


def read_procfile(path: Path, settings: FleetSettings) -> dict[str, str]:
    """Return the commands in the Procfile at `path`, by name; raises `SettingsError` if it does not fit the settings.

    It has to run each of the fleet's nodes once, and the embedded server if the fleet needs it. If the fleet does not
    need the server, its line is left out of the result. The Procfile may run other commands, too.
    """
    commands = _read(path)
    replicas = sorted(filter(None, map(replica_of, commands.values())))
    if replicas != sorted(settings.nodes):
        raise _misfit(path, f"runs the replicas {_joined(replicas)}; the fleet file has {_joined(settings.nodes)}")
    if not wants_embedded(settings):
        return _without_server(commands)
    if not any(map(runs_valkey, commands.values())):
        raise _misfit(path, "does not run the embedded Valkey that the fleet file asks for")
    return commands


def is_as_printed(path: Path, settings: FleetSettings) -> bool:
    """Return whether the Procfile at `path` says only what `deltaic procfile` prints, or has printed for other nodes.

    Then the fleet file alone decides which processes run. Raises `SettingsError` if the Procfile cannot be read.
    """
    commands = _read(path)
    named = [node for node in map(replica_of, commands.values()) if node is not None]
    gone = {node: f"{_KEPT}deltaic replica {node}" for node in named if node not in settings.nodes}
    nodes = {node: settings.nodes[node] for node in named if node in settings.nodes}
    if not nodes:
        return False
    printed = gone | fleet_commands(settings.model_copy(update={"nodes": nodes}))
    return _without_server(commands) == _without_server(printed)


def replica_of(command: str) -> str | None:
    """Return the node whose replica `command` runs; `None` if it runs no replica.

    >>> replica_of("deltaic keep -- deltaic -f fleet.toml replica n1")
    'n1'
    """
    words = _subcommand(command)
    return words[words.index("replica") + 1] if "replica" in words[:-1] else None


def runs_valkey(command: str) -> bool:
    """Return whether `command` runs the embedded server."""
    return "valkey" in _subcommand(command)


def _read(path: Path) -> dict[str, str]:
    """Return the commands in the Procfile at `path`, by name."""
    try:
        return dict(parse_procfile(path.read_text("utf-8")).processes)
    except (OSError, UnicodeDecodeError, AssertionError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}") from error


def _without_server(commands: Mapping[str, str]) -> dict[str, str]:
    return {name: command for name, command in commands.items() if not runs_valkey(command)}


def _subcommand(command: str) -> list[str]:
    """Return the words after the last `deltaic` in a command line; none if there is no `deltaic`."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    calls = [place for place, word in enumerate(words) if PurePath(word).name == "deltaic"]
    return words[calls[-1] + 1 :] if calls else []


def _misfit(path: Path, problem: str) -> SettingsError:
    return SettingsError(str(path), f"{problem}; `deltaic procfile` prints a Procfile that fits")


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names) or "(none)"
