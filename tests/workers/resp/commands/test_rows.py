"""How rows of commands that need the connection, and of families, are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from crdt_core.commands import Status
from workers.resp.commands.rows import client_command, family

if TYPE_CHECKING:
    from workers.resp.context import Client


def nothing(_client: Client, _args: list[bytes]) -> None:
    """The function of a row that is never run."""


MEMBER = client_command("server", "LIGHT|SET colour [FOR seconds] | OFF", -3, "admin", nothing, "Sets the light.")


def test_a_command_that_needs_the_connection_is_refused_within_multi_unless_its_row_says_otherwise() -> None:
    assert (MEMBER.connected, MEMBER.settled, MEMBER.in_multi) == (True, False, "refused")


def test_what_holds_of_a_family_holds_of_its_members() -> None:
    row = family("server", "LIGHT", "Lights.", (MEMBER,), categories="connection", in_multi="queued")
    assert (row.name, row.arity, row.flags) == (b"LIGHT", -2, "")
    assert [member.name for member in row.members] == [b"LIGHT|SET", b"LIGHT|HELP"]
    for member in row.members:
        assert (member.settled, member.in_multi, member.categories) == (True, "queued", "connection")


def test_help_shows_what_is_to_be_replaced_in_angle_brackets() -> None:
    *_, help_ = family("server", "LIGHT", "Lights.", (MEMBER,)).members
    shown: list[Any] = help_.run(cast("Client", None), [])
    assert shown == list(
        map(
            Status,
            [
                "LIGHT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
                "SET <colour> [FOR <seconds>] | OFF",
                "    Sets the light.",
                "HELP",
                "    Print this help.",
            ],
        )
    )
