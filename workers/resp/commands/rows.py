"""How a command that needs the connection, and a family of subcommands, is written as a row."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from crdt_core.commands import Command, Status
from crdt_core.commands.command import NO_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.context import Client

__all__ = ["client_command", "family"]

_ARGUMENT = re.compile(r"[a-z][a-z:-]*")


def client_command(  # noqa: PLR0917  the columns of a row
    group: str,
    usage: str,
    arity: int,
    flags: str,
    run: Callable[[Client, list[bytes]], Any],
    summary: str,
    concurrent: str = "",
    complexity: str = "O(1)",
    *,
    keys: tuple[int, int, int] = NO_KEYS,
    categories: str | None = None,
    settled: bool = False,
    in_multi: Literal["queued", "at once", "refused"] = "refused",
    while_subscribed: bool = False,
) -> Command[Client]:
    """Return the row of a command whose function takes the client: see `Command`.

    The function returns the reply, a coroutine of it, or `NOTHING` if it has said all that there is to say. A coroutine
    cannot be queued in MULTI. A command that is queued runs once the commit of its transaction is confirmed.
    """
    return Command(
        group,
        usage,
        arity,
        keys,
        flags,
        run,
        summary,
        concurrent,
        complexity,
        categories=categories,
        connected=True,
        settled=settled,
        in_multi=in_multi,
        while_subscribed=while_subscribed,
    )


def family(
    group: str,
    name: str,
    summary: str,
    members: tuple[Command[Client], ...],
    *,
    categories: str | None = None,
    in_multi: Literal["queued", "refused"] = "refused",
) -> Command[Client]:
    """Return the row of a family. Its members also have `categories` and `in_multi`, and all of them are `settled`.

    HELP is a member of every family.
    """

    def show_help(_client: Client, _args: list[bytes]) -> list[Status]:
        return _help(name, members)

    help_ = client_command(group, f"{name}|HELP", 2, "loading stale", show_help, f"Lists the subcommands of {name}.")
    row = client_command(
        group,
        f"{name} subcommand [argument ...]",
        -2,
        "",
        show_help,
        summary,
        complexity="Depends on the subcommand.",
        categories="",
    )
    settled = [replace(member, settled=True, in_multi=in_multi, categories=categories) for member in (*members, help_)]
    return replace(row, settled=True, in_multi=in_multi, members=tuple(settled))


def _help(name: str, members: tuple[Command[Client], ...]) -> list[Status]:
    lines = [f"{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for member in members:
        usage = member.usage.partition("|")[2]
        lines += [_ARGUMENT.sub(r"<\g<0>>", usage), f"    {member.summary}"]
    return [Status(line) for line in [*lines, "HELP", "    Print this help."]]
