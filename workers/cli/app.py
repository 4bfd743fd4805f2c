"""The root of the `deltaic` command: its subcommands by name. Each is imported when it is called, and not before.

An error of the tree in `crdt_core.errors` ends the command with one line on stderr and the error's exit code. So a
script can tell a bad argument (2) from a fleet that is down (3). Help and usage are click's.
"""

from __future__ import annotations

import gc
import platform
import sys
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from crdt_core.errors import DeltaicError

__all__ = ["COMMANDS", "main", "root"]

COMMANDS: dict[str, tuple[str, str]] = {
    "fleet": ("workers.cli.fleet:fleet", "Run the whole fleet: Valkey, replica workers, jobs and cron."),
    "replica": ("workers.cli.replica:replica", "Run the replica worker of NODE until SIGTERM or Ctrl-C."),
    "valkey": ("workers.cli.fleet:valkey", "Run the embedded Valkey in the foreground."),
    "jobs": ("workers.cli.fleet:jobs", "Run the RQ workers of the nodes' queues."),
    "cron": ("workers.cli.fleet:cron", "Run the scheduler of the periodic jobs."),
    "maelstrom": ("workers.cli.maelstrom:maelstrom", "Run one node that speaks the Maelstrom protocol."),
    "keep": ("workers.cli.keep:keep", "Run COMMAND, and restart it whenever it dies."),
    "procfile": ("workers.cli.fleet:procfile", "Print the Procfile for the fleet file."),
    "settings": ("workers.cli.settings:settings", "Print all settings with values, defaults and meanings."),
    "node": ("workers.cli.node:node", "List, add and remove the members of the running fleet."),
    "status": ("workers.cli.status:status", "Show which nodes are up, how far behind, and whether they agree."),
    "partition": ("workers.cli.links:partition", "Cut nodes off from each other."),
    "heal": ("workers.cli.links:heal", "Let nodes hear each other again."),
    "sync": ("workers.cli.everywhere:sync", "Let nodes and their peers exchange what either side lacks."),
    "get": ("workers.cli.data:get", "Show KEY as one node sees it."),
    "diff": ("workers.cli.everywhere:diff", "Show KEY as every node sees it."),
    "incr": ("workers.cli.data:incr", "Add AMOUNT (0 or more; default 1) to the counter KEY."),
    "decr": ("workers.cli.data:decr", "Take AMOUNT (default 1) from the counter KEY."),
    "add": ("workers.cli.data:add", "Add each ELEMENT to the set KEY, all in one commit."),
    "remove": ("workers.cli.data:remove", "Remove each ELEMENT that the node has seen from the set KEY."),
    "set": ("workers.cli.data:set_", "Write VALUE to the register KEY."),
    "delete": ("workers.cli.data:delete", "Delete what the node has seen under KEY."),
    "demo": ("workers.cli.demo:demo", "Watch nodes write at once, part, write on, and agree again."),
    "health": ("workers.cli.data:health", "Ask NODE whether it serves."),
    "backup": ("workers.cli.backup:backup", "Write a backup image of one node to FILE while it serves."),
    "restore": ("workers.cli.backup:restore", "Write the backup image in FILE into the Redis of a node."),
    "acl": ("workers.cli.acl:acl", "Print the Redis users for the Redis of NODE."),
    "completion": ("workers.cli.completion:completion", "Print the script that lets SHELL complete this command."),
}
"""Where each command is, and the first sentence of its help."""


class LazyGroup(click.Group):
    """A group that imports a command when the command is named, and not for its line in `--help` or a completion."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        gc.enable()  # see `workers.cli.main`
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [
            CompletionItem(name, help=short_help)
            for name, (_, short_help) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib import metadata  # noqa: PLC0415  other commands start without it

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
