"""The root of the `deltaic` command: its subcommands by name. Each is imported when it is called, and not before.

An error of the tree in `crdt_core.errors` ends the command with one line on stderr and the error's exit code. So a
script can tell a bad argument (2) from a fleet that is down (3). Help and usage are click's.
"""

from __future__ import annotations

import platform
import sys
from importlib import import_module, metadata
from pathlib import Path

import click

from crdt_core.errors import DeltaicError

__all__ = ["main"]

COMMANDS = {
    "fleet": "workers.cli.fleet:fleet",
    "replica": "workers.cli.replica:replica",
    "valkey": "workers.cli.fleet:valkey",
    "jobs": "workers.cli.fleet:jobs",
    "cron": "workers.cli.fleet:cron",
    "maelstrom": "workers.cli.maelstrom:maelstrom",
    "keep": "workers.cli.keep:keep",
    "procfile": "workers.cli.fleet:procfile",
    "settings": "workers.cli.settings:settings",
    "node": "workers.cli.node:node",
    "status": "workers.cli.status:status",
    "partition": "workers.cli.links:partition",
    "heal": "workers.cli.links:heal",
    "sync": "workers.cli.data:sync",
    "get": "workers.cli.data:get",
    "diff": "workers.cli.data:diff",
    "incr": "workers.cli.data:incr",
    "decr": "workers.cli.data:decr",
    "add": "workers.cli.data:add",
    "remove": "workers.cli.data:remove",
    "set": "workers.cli.data:set_",
    "delete": "workers.cli.data:delete",
    "demo": "workers.cli.demo:demo",
    "health": "workers.cli.data:health",
    "backup": "workers.cli.backup:backup",
    "restore": "workers.cli.backup:restore",
    "completion": "workers.cli.completion:completion",
}


class LazyGroup(click.Group):
    """A group that imports a command when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, attribute = target.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        implementation = platform.python_implementation()
        click.echo(f"deltaic {metadata.version('deltaic')}, {implementation} {platform.python_version()}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions and exit.",
)
@click.option(
    "--file",
    "-f",
    "fleet_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The fleet file; default: $DELTAIC_FILE, ./deltaic.toml, or five nodes on 127.0.0.1.",
)
@click.pass_context
def root(ctx: click.Context, fleet_file: Path | None) -> None:
    """Active-active replicated data types on plain Redis."""
    ctx.obj = fleet_file


def main() -> None:
    """Run the command; turn an error of the tree into one line and its exit code."""
    try:
        root(prog_name="deltaic")
    except DeltaicError as error:
        click.echo(f"deltaic: {error}", err=True)
        sys.exit(error.exit_code)
