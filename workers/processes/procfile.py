"""The Procfile: which processes a fleet is made of, as `deltaic procfile` writes it and `deltaic fleet` reads it.

    n1: deltaic keep -- deltaic replica n1

Every line runs under `deltaic keep`, so that any runner of Procfiles keeps a replica that dies from ending the rest.
"""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from honcho.environ import parse_procfile

from crdt_core.errors import SettingsError
from workers.processes.embedded import wants_embedded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workers.config.settings import FleetSettings

__all__ = ["fleet_lines", "read_procfile", "replica_of", "runs_valkey", "written"]

HEADER = """\
# The processes of the fleet, as `deltaic procfile` writes them. `deltaic keep` starts a process that died again.
"""


def fleet_lines(settings: FleetSettings) -> dict[str, str]:
    """The command of each process, by name: the server if embedded, a replica per node, then jobs and cron.

    Nodes whose RQ queues share a Redis share its workers; otherwise each node has its own.
    """
    jobs = {"jobs": "deltaic jobs", "cron": "deltaic cron"}
    if len({node.jobs_url for node in settings.nodes.values()}) > 1:
        jobs = {f"{name}-{node}": f"{call} --node {node}" for node in settings.nodes for name, call in jobs.items()}
    server = {"valkey": "deltaic valkey"} if wants_embedded(settings) else {}
    commands = [
        *((_beside(settings, name), call) for name, call in server.items()),
        *((node, f"deltaic replica {node}") for node in settings.nodes),
        *((_beside(settings, name), call) for name, call in jobs.items()),
    ]
    return {name: f"deltaic keep -- {call}" for name, call in commands}


def _beside(settings: FleetSettings, name: str) -> str:
    """`name`, unless a node is called so; no node's name begins with an underscore."""
    return f"_{name}" if name in settings.nodes else name


def written(lines: dict[str, str]) -> str:
    """The Procfile's text."""
    return HEADER + "".join(f"{name}: {command}\n" for name, command in lines.items())


def read_procfile(path: Path, settings: FleetSettings) -> dict[str, str]:
    """The commands of the Procfile at `path`, by name; raises `SettingsError` where it does not fit the settings.

    It has to run the fleet's nodes, each once, and the embedded server if there is to be one; a line for a server
    that is not wanted is left out. What else it runs is its owner's choice.
    """
    try:
        lines: dict[str, str] = dict(parse_procfile(path.read_text("utf-8")).processes)
    except (OSError, UnicodeDecodeError, AssertionError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}") from error
    replicas = sorted(filter(None, map(replica_of, lines.values())))
    if replicas != sorted(settings.nodes):
        raise _misfit(path, f"runs the replicas {_listed(replicas)}; the fleet file has {_listed(settings.nodes)}")
    if not wants_embedded(settings):
        return {name: command for name, command in lines.items() if not runs_valkey(command)}
    if not any(map(runs_valkey, lines.values())):
        raise _misfit(path, "does not run the embedded Valkey that the fleet file asks for")
    return lines


def replica_of(command: str) -> str | None:
    """The node whose replica `command` runs, if it runs one.

    >>> replica_of("deltaic keep -- deltaic -f fleet.toml replica n1")
    'n1'
    """
    words = _subcommand(command)
    return words[words.index("replica") + 1] if "replica" in words[:-1] else None


def runs_valkey(command: str) -> bool:
    """Whether `command` runs the embedded server."""
    return "valkey" in _subcommand(command)


def _subcommand(command: str) -> list[str]:
    """The words after the last `deltaic` of a command line; none if it runs something else."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    calls = [place for place, word in enumerate(words) if PurePath(word).name == "deltaic"]
    return words[calls[-1] + 1 :] if calls else []


def _misfit(path: Path, problem: str) -> SettingsError:
    return SettingsError(str(path), f"{problem}; `deltaic procfile` prints one that fits")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "(none)"
