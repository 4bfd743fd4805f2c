"""The commands that read and write a key at one node, and say so in one line: `get`, `incr`, `add`, `set`, ...

Each command talks to the gRPC faces of the nodes, and so runs the same commands of the core as every other client. A
write happens at one node, and the output names that node.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeVar

import click
import orjson

from crdt_core.errors import DeltaicError, InvalidArgument
from crdt_core.types.counters import INT64_MAX, INT64_MIN
from workers.cli.words import faint, value_words, view_json, word
from workers.config.loading import START_FLEET, load_settings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.client import CallRefused, FleetClient, KeyView, NodeUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from workers.rpc.client import NodeClient

__all__ = ["add", "decr", "delete", "get", "health", "incr", "remove", "set_"]

T = TypeVar("T")

FOUND, ABSENT, UNREACHABLE = 0, 1, 3
KINDS = {"lww": pb.LAST_WRITER_WINS_REGISTER, "mv": pb.MULTI_VALUE_REGISTER}

AT_NODE = click.option("--node", help="The node to talk to; default: the first of the fleet that answers.")
_BELOW_ZERO = re.compile(r"-\d+")


class _Amount(click.IntRange):
    """What a counter takes at once. click names the kind in its error: "'five' is not a valid whole number"."""

    name = "whole number"


AMOUNT = click.argument("amount", type=_Amount(0, INT64_MAX), default=1)


class _Counting(click.Command):
    """`incr` or `decr`. For an amount below zero, it names the other of the two; click would call it an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        below_zero = next((word for word in options if _BELOW_ZERO.fullmatch(word)), None)
        if below_zero is not None:
            key = next((word for word in args if not word.startswith("-")), "KEY")
            opposite = f"deltaic {'decr' if self.name == 'incr' else 'incr'} {key} {below_zero[1:]}"
            raise click.UsageError(f"{below_zero} is below 0: use `{opposite}`", ctx)
        return super().parse_args(ctx, args)


# Reading


@click.command()
@click.argument("key")
@AT_NODE
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def get(ctx: click.Context, key: str, node: str | None, *, as_json: bool) -> None:
    """Show KEY as one node sees it.

    Exit code: 0, or 1 where there is no such key.
    """
    name, view = _at(ctx.obj, node, lambda client: client.inspect(key), reading=True)
    if as_json:
        click.echo(orjson.dumps({"node": name, "key": key, **view_json(view)}, option=orjson.OPT_INDENT_2))
    elif view.type:
        _say(name, f"{word(key)} = {value_words(view)} ({_kind(view)})")
    else:
        _say(name, f"{word(key)} does not exist")
    ctx.exit(FOUND if view.type else ABSENT)


# Writing


@click.command(cls=_Counting)
@click.argument("key")
@AMOUNT
@AT_NODE
@click.option("--grow-only", is_flag=True, help="If the counter is new, make it grow-only.")
@click.pass_context
def incr(ctx: click.Context, key: str, amount: int, node: str | None, *, grow_only: bool) -> None:
    """Add AMOUNT (0 or more; default 1) to the counter KEY."""
    name, value = _at(ctx.obj, node, lambda client: client.adjust(key, amount, grow_only=grow_only))
    _say(name, f"{word(key)} = {value}")


@click.command(cls=_Counting)
@click.argument("key")
@AMOUNT
@AT_NODE
@click.pass_context
def decr(ctx: click.Context, key: str, amount: int, node: str | None) -> None:
    """Take AMOUNT (default 1) from the counter KEY."""
    name, value = _at(ctx.obj, node, lambda client: client.adjust(key, amount, decrement=True))
    _say(name, f"{word(key)} = {value}")


@click.command()
@click.argument("key")
@click.argument("elements", metavar="ELEMENT...", nargs=-1, required=True)
@AT_NODE
@click.pass_context
def add(ctx: click.Context, key: str, elements: tuple[str, ...], node: str | None) -> None:
    """Add each ELEMENT to the set KEY, all in one commit."""
    requests = {element: _adding(key, element) for element in elements}
    name, results = _at(ctx.obj, node, lambda client: _together(client, requests))
    absent = {element: result.add_to_set.added for element, result in results.items()}
    _say(name, f"{word(key)}: {_counted(absent, 'added', 'already there:')}")


@click.command()
@click.argument("key")
@click.argument("elements", metavar="ELEMENT...", nargs=-1, required=True)
@AT_NODE
@click.pass_context
def remove(ctx: click.Context, key: str, elements: tuple[str, ...], node: str | None) -> None:
    """Remove each ELEMENT that the node has seen from the set KEY."""
    requests = {element: _removing(key, element) for element in elements}
    name, results = _at(ctx.obj, node, lambda client: _together(client, requests))
    there = {element: result.remove_from_set.removed for element, result in results.items()}
    _say(name, f"{word(key)}: {_counted(there, 'removed', 'not there')}")


@click.command("set")
@click.argument("key")
@click.argument("value")
@click.option("--timestamp", type=int, help="The write's time; implies --kind lww.")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Last writer wins, or multi-value (default).")
@AT_NODE
@click.pass_context
def set_(
    ctx: click.Context, key: str, value: str, *, timestamp: int | None, kind: str | None, node: str | None
) -> None:
    """Write VALUE to the register KEY. If VALUE begins with a dash, write `--` before KEY.

    A multi-value register keeps concurrent values until a write that has seen them replaces them. A last-writer-wins
    register shows the latest value.
    """
    if timestamp is not None and not INT64_MIN <= timestamp <= INT64_MAX:
        raise InvalidArgument("--timestamp", f"{timestamp} is not a 64-bit integer")
    chosen = KINDS[kind] if kind is not None else pb.REGISTER_KIND_UNSPECIFIED
    name, applied = _at(ctx.obj, node, lambda client: client.set_register(key, value, timestamp, chosen))
    _say(name, f"{word(key)} = {word(value)}" if applied else f"{word(key)} has a newer value; nothing changed")


@click.command()
@click.argument("key")
@AT_NODE
@click.pass_context
def delete(ctx: click.Context, key: str, node: str | None) -> None:
    """Delete what the node has seen under KEY.

    Concurrent writes elsewhere survive.
    """
    name, deleted = _at(ctx.obj, node, lambda client: client.delete(key))
    _say(name, f"{word(key)} deleted" if deleted else f"{word(key)} does not exist")


def _adding(key: str, element: str) -> pb.BatchedOperation:
    return pb.BatchedOperation(add_to_set=pb.AddToSetRequest(set_id=key, element=element))


def _removing(key: str, element: str) -> pb.BatchedOperation:
    return pb.BatchedOperation(remove_from_set=pb.RemoveFromSetRequest(set_id=key, element=element))


async def _together(client: NodeClient, requests: Mapping[str, pb.BatchedOperation]) -> dict[str, pb.BatchedResult]:
    """Do `requests` in one commit, or in one for each batch if they are more than a batch holds. Return the results.

    Raises `CallRefused` if the node has refused any of them, and what a batch raises. If others were done, a line on
    stderr says how many.
    """
    elements, results = list(requests), dict[str, pb.BatchedResult]()
    try:
        while len(results) < len(elements):
            batch = elements[len(results) : len(results) + client.batch_operations_max]
            results.update(zip(batch, await client.batch(*(requests[element] for element in batch)), strict=True))
            refused = [result.error.message for result in results.values() if result.HasField("error")]
            if refused:
                raise CallRefused(client.name, refused[0])
    except DeltaicError:
        done = sum(not result.HasField("error") for result in results.values())
        if done:
            click.echo(f"deltaic: {done} of {len(elements)} elements were done", err=True)
        raise
    return results


def _counted(outcomes: Mapping[str, bool], done: str, idle: str) -> str:
    parts = []
    for words, wanted in ((done, True), (idle, False)):
        elements = [word(element) for element, outcome in outcomes.items() if outcome is wanted]
        if elements:
            parts.append(f"{words} {', '.join(elements)}")
    return "; ".join(parts)


# Nodes


@click.command()
@click.argument("node")
@click.pass_context
def health(ctx: click.Context, node: str) -> None:
    """Ask NODE whether it serves. Exit code: 0 if it says so, else 3."""

    async def ask() -> str | None:
        """Return why it does not serve, `None` if it does."""
        async with FleetClient(load_settings(ctx.obj)) as fleet:
            client = await fleet.chosen(node)
            if await client.serving():
                return None
            try:
                return (await client.status()).trouble or "it starts or stops"
            except NodeUnavailable as error:
                return f"{error.reason}; {START_FLEET}"

    trouble = asyncio.run(ask())
    click.echo(f"{node}: {'serving' if trouble is None else f'not serving: {trouble}'}")
    ctx.exit(0 if trouble is None else UNREACHABLE)


# Shared


def _at(
    fleet_file: Path | None, node: str | None, call: Callable[[NodeClient], Awaitable[T]], *, reading: bool = False
) -> tuple[str, T]:
    """Call one node. Return its name, and the result of `call` there. `reading`: a node that cannot write will do."""

    async def run() -> tuple[str, T]:
        async with FleetClient(load_settings(fleet_file)) as fleet:
            client = await fleet.chosen(node, reading=reading)
            return client.name, await call(client)

    return asyncio.run(run())


def _say(node: str, what: str) -> None:
    click.echo(faint(f"{node}: ") + what)


def _kind(view: KeyView) -> str:
    return f"{view.type}; hidden: {', '.join(view.conflicts)}" if view.conflicts else view.type
