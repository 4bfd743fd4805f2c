"""`deltaic backup` and `deltaic restore`: save a backup image of one node in a file, and load it into a Redis."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from crdt_core.errors import InvalidArgument
from workers.cli.logs import configure_logging
from workers.config.loading import load_settings
from workers.rpc.client import FleetClient, NodeUnavailable
from workers.storage.restore import read_image
from workers.storage.restore import restore as restore_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.rpc.client import NodeClient

__all__ = ["backup", "restore"]

_STANDARD = "-"
_FILE = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))


@click.command()
@_FILE
@click.option("--node", help="The node to back up; default: the first of the fleet that answers.")
@click.pass_obj
def backup(fleet_file: Path | None, file: str, node: str | None) -> None:
    """Write a backup image of one node to FILE while it serves.

    The image holds everything that the node knows at one moment. FILE appears, or is replaced, only when the image is
    complete; '-' is standard output.
    """
    try:
        with _target(file) as target:
            asyncio.run(_fetch(fleet_file, node, target, file))
    except OSError as error:
        raise InvalidArgument(file, error.strerror or str(error)) from error


@click.command()
@_FILE
@click.option("--node", required=True, help="The node whose Redis receives the image; its worker must not run.")
@click.option("--force", is_flag=True, help="Replace the replica that the Redis holds.")
@click.pass_obj
def restore(fleet_file: Path | None, file: str, node: str, *, force: bool) -> None:
    """Write the backup image in FILE into the Redis of a node.

    FILE is the image of this node or another; '-' is standard input.

    When the node starts again, it takes a new replica id, which a running member records, and fetches what the
    fleet has done since the backup: nothing that was removed meanwhile comes back. If no other member runs, start the
    node with `deltaic replica NODE --unsponsored`; the others then fetch their state from it.
    """
    configure_logging("warning")
    settings = load_settings(fleet_file)
    settings.node(node)
    try:
        with _source(file) as source:
            image = read_image(source)
    except OSError as error:
        raise InvalidArgument(file, error.strerror or str(error)) from error
    asyncio.run(restore_image(settings, node, image, force=force))
    clock = " ".join(f"{replica}:{counter}" for replica, counter in sorted(image.state.clock.items()))
    click.echo(f"{node} holds the state of {image.replica} at {clock}; start it, and it comes back under a new id")


async def _fetch(fleet_file: Path | None, node: str | None, target: BinaryIO, file: str) -> None:
    async with FleetClient(load_settings(fleet_file)) as fleet:
        client = await fleet.chosen(node, reading=True)
        console = Console(stderr=True)
        size = await _copy(client, target, console)
        if file != _STANDARD:
            click.echo(f"{client.name}: {size} bytes in {file}")


async def _copy(client: NodeClient, target: BinaryIO, console: Console) -> int:
    """Fetch the image and write it to `target`; return its size in bytes.

    Raises `NodeUnavailable`, also where the node ends the image early.
    """
    size, ended = 0, False
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total} parts"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"Backing {client.name} up", total=None)
        async for piece in client.backup():
            target.write(piece.lines)
            size, ended = size + len(piece.lines), piece.ended
            progress.update(task, completed=piece.done, total=piece.of)
    if not ended:
        raise NodeUnavailable(client.name, client.address, "it ended the backup early")
    return size


@contextmanager
def _target(file: str) -> Iterator[BinaryIO]:
    """Yield the file to write the image to; it gets its name when the block has succeeded and the disk has it."""
    if file == _STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path, part = Path(file), Path(f"{file}.part")
    try:
        with part.open("wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        part.replace(path)
        _sync_directory(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _source(file: str) -> Iterator[BinaryIO]:
    if file == _STANDARD:
        yield sys.stdin.buffer
    else:
        with Path(file).open("rb") as source:
            yield source
