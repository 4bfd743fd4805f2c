"""The table of plain commands against a real server, and the way from a request to a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.commands import COMMANDS, Command, CommandError, CommandTable
from crdt_core.commands.command import NO_KEYS
from tests.invocations import PLAIN, lookup

if TYPE_CHECKING:
    from tests.server import ValkeyServer

OWN = {name for name in COMMANDS if name.startswith(b"DELTAIC.")}


@pytest.fixture(scope="module")
def described(server: ValkeyServer) -> dict[bytes, Any]:
    """What COMMAND INFO of a real server says, by name."""
    with server.client() as client:
        client.set_response_callback("COMMAND", lambda response, **_: response)
        return {info[0].upper(): info for info in client.execute_command("COMMAND")}


def test_every_command_of_a_real_server_is_supported_or_said_to_be_unsupported(described: dict[bytes, Any]) -> None:
    unsupported = {name for name in PLAIN.unsupported if b"|" not in name}
    assert described.keys() - unsupported == COMMANDS.keys() - OWN
    assert not unsupported & COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - OWN), ids=bytes.decode)
def test_rows_say_what_a_real_server_says(name: bytes, described: dict[bytes, Any]) -> None:
    command = COMMANDS[name]
    _, arity, flags, *keys, categories = described[name][:7]
    assert (command.arity, command.keys) == (arity, tuple(keys))
    assert set(command.flags.split()) == {flag.decode() for flag in flags}
    assert command.acl_categories == sorted(category.decode() for category in categories)


@pytest.mark.parametrize("name", [b"get", b"GET", b"Get", b"deltaic.mvget"])
def test_a_name_is_found_in_whatever_case(name: bytes) -> None:
    assert lookup(name, [b"k"]).name == name.upper()


@pytest.mark.parametrize("name", [b"ZADD", b"lpush"])
def test_a_command_that_is_missing_is_refused_by_its_name(name: bytes) -> None:
    with pytest.raises(CommandError, match=f"ERR unsupported command '{name.decode().upper()}': Deltaic does not have"):
        lookup(name, [b"k"])


def test_a_command_that_nobody_knows_is_shown_with_its_arguments() -> None:
    with pytest.raises(CommandError) as refused:
        lookup(b"NO\nSUCH", [b"a", b"b\0c", b"d" * 200, b"e"])
    assert refused.value.text == (
        "ERR unknown command 'NO SUCH', with args beginning with: 'a' 'b' '" + "d" * 120 + "' "
    )


@pytest.mark.parametrize("line", ["GET", "GET a b", "SET a", "DELTAIC.MVGET", "DELTAIC.ENABLED f g", "SINTERCARD 1"])
def test_the_wrong_number_of_arguments_is_told_as_redis_tells_it(line: str) -> None:
    name, *args = line.encode().split()
    with pytest.raises(CommandError) as refused:
        lookup(name, args)
    assert refused.value.text == f"ERR wrong number of arguments for '{name.decode().lower()}' command"


def run(_context: object, args: list[bytes]) -> list[bytes]:
    return args


def row(usage: str, arity: int, members: tuple[Command[object], ...] = ()) -> Command[object]:
    return Command("server", usage, arity, NO_KEYS, "", run, "A row.", members=members)


def test_a_subcommand_is_found_by_both_words() -> None:
    member = row("CLIENT|KILL address", 3)
    table = CommandTable([row("CLIENT subcommand", -2, (member,))])
    assert table.find([b"client", b"Kill", b"x"]) is member
    assert table.named(b"Client|kill") is member
    for request, text in {
        (b"CLIENT",): "ERR wrong number of arguments for 'client' command",
        (b"CLIENT", b"KILL"): "ERR wrong number of arguments for 'client|kill' command",
        (b"CLIENT", b"PAUSE", b"1"): "ERR unsupported command 'CLIENT PAUSE': Deltaic does not have it",
        (b"CLIENT", b"nonsense"): "ERR unknown subcommand 'nonsense'. Try CLIENT HELP.",
        (b"CLIENT|KILL", b"x"): "ERR unknown command 'CLIENT|KILL', with args beginning with: 'x' ",
        (b"CLIENT|PAUSE",): "ERR unknown command 'CLIENT|PAUSE', with args beginning with: ",
    }.items():
        with pytest.raises(CommandError) as refused:
            table.find(list(request))
        assert refused.value.text == text


def test_a_command_that_gets_a_row_is_unsupported_no_longer() -> None:
    assert b"ZADD" in CommandTable([]).unsupported
    assert b"ZADD" not in CommandTable([row("ZADD key", 2)]).unsupported


def test_two_rows_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="two rows have the same name"):
        CommandTable([row("GET key", 2), row("GET key value", 3)])
