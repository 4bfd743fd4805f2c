"""`deltaic fleet` and the processes that it consists of: the embedded server, the RQ workers, the scheduler.

The fleet runs a Procfile. Each of its commands can also be run alone, in any order, on any machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Column, Table

from crdt_core.errors import InvalidArgument
from workers.config.addresses import check_addresses
from workers.config.embedded_server import HOST
from workers.config.loading import CRON_NODES_VARIABLE, FILE_VARIABLE, load_settings
from workers.config.redis_url import redacted
from workers.processes.embedded import become_server, server_binary, wants_embedded
from workers.processes.file_watch import FileWatch
from workers.processes.procfile import fleet_commands, is_as_printed, procfile_text, read_procfile
from workers.system.ports import reserve_port, split_address
from workers.wire.keys import queue_name
from workers.wire.readiness import wait_for_redis

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from workers.config.settings import FleetSettings

__all__ = ["cron", "fleet", "jobs", "procfile", "valkey"]

_CRON_MODULE = "workers.jobs.schedule"
_RQ_MODULE = "workers.jobs.programs"
_GUARDED = "workers.jobs.guarded.Guarded"
"""What the names of the classes begin with that keep RQ's workers to this fleet's jobs."""
_RQ_URL_VARIABLE = "RQ_REDIS_URL"
"""RQ gets its URL in the environment, because every user of the machine can read a command line and its password."""


@click.command()
@click.option(
    "--procfile",
    "procfile_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The Procfile to run; default: ./Procfile, or what `deltaic procfile` prints.",
)
@click.pass_context
def fleet(ctx: click.Context, procfile_path: Path | None) -> None:
    """Run the whole fleet: Valkey, replica workers, jobs and cron.

    Ctrl-C ends all of it.

    A replica that dies is restarted and does not disturb the others. The data stays for the next start.

    While the fleet runs, nodes that are added to the fleet file (as `deltaic node add` does) are started, and nodes
    that are taken out of it are ended. If you use a Procfile that says more than `deltaic procfile` prints, change it
    and start the fleet again instead, or run `deltaic replica NODE` beside the fleet.
    """
    from workers.processes.runner import FleetRunner  # noqa: PLC0415  the other commands do not need honcho

    watch = FileWatch(ctx.obj)
    settings = load_settings(ctx.obj)
    commands = _commands(settings, procfile_path)
    console = Console()
    if settings.valkey.embedded and not wants_embedded(settings):
        where = f"no node's Redis is at valkey.port ({HOST}:{settings.valkey.port})"
        console.print(f"{where}, so no Valkey is started", soft_wrap=True, markup=False, highlight=False)
    _check_can_start(settings)
    console.print(f"Starting {len(settings.nodes)} replicas ...")
    runner = FleetRunner(
        commands,
        env=_environment(ctx.obj),
        awaited=_awaited(settings),
        show_up=lambda missing: console.print(_banner(settings, ctx.obj, missing)),
        changed=watch if _follows_fleet_file(settings, procfile_path) else lambda: None,
    )
    ctx.exit(runner.run())


@click.command()
@click.pass_context
def procfile(ctx: click.Context) -> None:
    """Print the Procfile for the fleet file."""
    click.echo(procfile_text(fleet_commands(load_settings(ctx.obj))), nl=False)


@click.command()
@click.pass_context
def valkey(ctx: click.Context) -> None:
    """Run the embedded Valkey in the foreground."""
    become_server(load_settings(ctx.obj).valkey)


_NODES = click.option("--node", "names", multiple=True, help="Only for this node; may be repeated. Default: all nodes.")


@click.command()
@_NODES
@click.pass_context
def jobs(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Run the RQ workers of the nodes' queues.

    They work for one Redis at a time: if the queues are in several, name the nodes of one.
    """
    settings = load_settings(ctx.obj)
    nodes, url = _jobs_redis(settings, names)
    wait_for_redis(url, click.echo)
    classes = [word for kind in ("worker", "job", "queue") for word in (f"--{kind}-class", _GUARDED + kind.title())]
    options = ["--num-workers", str(settings.jobs.workers), "--serializer", "json", *classes]
    _become_rq(
        ["worker-pool", "--quiet", *options, *map(queue_name, nodes)],
        _environment(ctx.obj) | {_RQ_URL_VARIABLE: url},
    )


@click.command()
@_NODES
@click.pass_context
def cron(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Run the scheduler of the periodic jobs.

    The scheduler puts them into the nodes' queues.

    It works for one Redis at a time: if the queues are in several, name the nodes of one.
    """
    nodes, url = _jobs_redis(load_settings(ctx.obj), names)
    wait_for_redis(url, click.echo)
    _become_rq(
        ["cron", "--logging-level", "warning", _CRON_MODULE],
        _environment(ctx.obj) | {_RQ_URL_VARIABLE: url, CRON_NODES_VARIABLE: ",".join(nodes)},
    )


def _become_rq(arguments: Sequence[str], env: dict[str, str]) -> NoReturn:
    os.execve(sys.executable, [sys.executable, "-m", _RQ_MODULE, *arguments], env)  # noqa: S606  no shell is wanted


def _jobs_redis(settings: FleetSettings, names: Sequence[str]) -> tuple[list[str], str]:
    """Return the chosen nodes (all if `names` is empty), and the URL of the one Redis that holds their queues."""
    for name in names:
        if name not in settings.nodes:
            reason = (
                f"the fleet file has no [nodes.{name}]; jobs and cron need it, even for a member whose address the "
                "others know"
            )
            raise InvalidArgument("--node", reason)
    nodes = {name: settings.node(name) for name in names or settings.nodes}
    urls = {node.jobs_url for node in nodes.values()}
    if len(urls) > 1:
        places = ", ".join(f"{name} at {redacted(node.jobs_url)}" for name, node in nodes.items())
        raise InvalidArgument(
            "--node", f"the queues are in {len(urls)} Redis databases ({places}): name the nodes of one"
        )
    return list(nodes), urls.pop()


def _environment(fleet_file: Path | None) -> dict[str, str]:
    """Return the environment for the fleet's processes: they find this fleet file, and the programs of this Python.

    If nobody has named a fleet file, each process looks for the default one itself: another may have become that.
    """
    programs = str(Path(sys.executable).parent)
    named = {FILE_VARIABLE: str(fleet_file.absolute())} if fleet_file else {}
    return (
        os.environ
        | named
        | {
            "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
        }
    )


def _awaited(settings: FleetSettings) -> dict[str, tuple[str, int]]:
    """Return host and port of each process that accepts connections when it is up, by name."""
    server = {"Valkey": (HOST, settings.valkey.port)} if wants_embedded(settings) else {}
    return server | {name: split_address(node.bind_address) for name, node in settings.nodes.items()}


def _commands(settings: FleetSettings, procfile_path: Path | None) -> dict[str, str]:
    if _follows_fleet_file(settings, procfile_path):
        return fleet_commands(settings)
    return read_procfile(procfile_path or Path("Procfile"), settings)


def _follows_fleet_file(settings: FleetSettings, procfile_path: Path | None) -> bool:
    """Return whether the processes come from the fleet file: nobody has written a Procfile that says anything else."""
    found = Path("Procfile")
    return procfile_path is None and (not found.exists() or is_as_printed(found, settings))


def _check_can_start(settings: FleetSettings) -> None:
    """Raise the first problem that would keep a process of the fleet from starting, before any is started."""
    check_addresses(settings.nodes, one_machine=True)
    with ExitStack() as reserved:
        if wants_embedded(settings):
            server_binary()
            setting = "valkey.port and the nodes' Redis URLs"
            reserved.enter_context(reserve_port(HOST, settings.valkey.port, wanted_by="Valkey", setting=setting))
        for name, node in settings.nodes.items():
            for setting, address in node.listens_at.items():
                host, port = split_address(address)
                wanted = f"nodes.{name}.{setting}"
                reserved.enter_context(reserve_port(host, port, wanted_by=f"replica {name}", setting=wanted))


def _banner(settings: FleetSettings, fleet_file: Path | None, missing: Collection[str]) -> Panel:
    """Return what people see when the fleet is up, or up but for the processes named in `missing`."""
    where = Table.grid(
        Column(style="bold"), Column(overflow="fold"), Column(style="dim", overflow="fold"), padding=(0, 2)
    )
    if wants_embedded(settings):
        server = settings.valkey
        where.add_row("Valkey", f"{HOST}:{server.port}", f"keeps its data in {server.directory}")
    for name, node in settings.nodes.items():
        faces = f"{node.grpc} (gRPC)" + (f", {node.resp} (Redis)" if node.resp else "")
        where.add_row(name, _SILENT if name in missing else faces, redacted(node.redis))
    command = _invocation(fleet_file)
    then = Table.grid(Column(style="bold", overflow="fold"), Column(style="dim"), padding=(0, 2))
    for arguments, what in _NEXT_STEPS:
        then.add_row(f"{command} {arguments}", what)
    then.add_row("Ctrl-C", "end all of it; the data stays")
    count, up = len(settings.nodes), len(settings.nodes.keys() - set(missing))
    title = f"Deltaic: {up} replicas of {count} are up" if missing else f"Deltaic: {count} replicas are up"
    return Panel(Group(where, "", then), title=title, expand=False)


_SILENT = "gives no answer; see its lines above"
_NEXT_STEPS = (
    ("status", "who is up, and how far behind whom"),
    ("demo", "watch two replicas part and agree again"),
)


def _invocation(fleet_file: Path | None) -> str:
    """Return what to type to run this command from the working directory."""
    own = Path(sys.executable).with_name("deltaic")
    found = shutil.which("deltaic")
    command = "deltaic" if found and Path(found) == own else _shortest(own)
    return shlex.join([command, *(["-f", _shortest(fleet_file)] if fleet_file else [])])


def _shortest(path: Path) -> str:
    """Return the path as it is, or relative to the working directory, whichever is shorter."""
    return min(str(path), os.path.relpath(path), key=len)
