"""COMMAND: what the rows of the table say, to tools and client libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ResponseError

from tests.workers.resp.raw import Raw
from workers.resp.commands.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from tests.fleet import Fleet
    from tests.workers.resp.inprocess import Peer

    Client = Callable[..., Redis]


@pytest.fixture
def raw(fleet: Fleet) -> Iterator[Raw]:
    """A connection that makes nothing of what it is told: redis-py takes all of COMMAND for COMMAND INFO."""
    with Raw(fleet["n1"].resp_port) as connection:
        yield connection


def test_every_command_is_documented_with_as_many_arguments_as_it_takes(raw: Raw) -> None:
    listed = {name.upper() for name in raw.call(b"COMMAND", b"LIST")}
    raw.call(b"HELLO", b"3")
    documented = raw.call(b"COMMAND", b"DOCS")
    assert listed == TABLE.commands.keys() | TABLE.members.keys()
    assert {name.upper() for name in documented} == TABLE.commands.keys()
    for command in TABLE.commands.values():
        said = documented[command.name.lower()]
        assert said[b"summary"], command.name
        if command.members:
            assert {name.upper() for name in said[b"subcommands"]} == {member.name for member in command.members}
            continue
        needed = sum(_words(argument) for argument in said.get(b"arguments", ()))
        assert needed == abs(command.arity) - command.words, command.name


def _words(argument: dict[bytes, Any]) -> int:
    """How many words an argument takes at least."""
    flags, inner = argument.get(b"flags", ()), argument.get(b"arguments")
    if b"optional" in flags:
        return 0
    if argument[b"type"] == b"oneof":
        return max(1, min(map(_words, inner)))
    return sum(map(_words, inner)) if inner else 1 + (b"token" in argument and argument[b"type"] != b"pure-token")


def test_a_command_that_is_missing_says_so_by_its_name(raw: Raw) -> None:
    missing = {name for name in TABLE.unsupported if b"|" not in name}
    assert {b"ZADD", b"LPUSH", b"MONITOR", b"OBJECT", b"DEBUG", b"MEMORY", b"EVAL", b"BGSAVE"} <= missing
    for name in missing:
        said = f"ERR unsupported command '{name.decode()}': Deltaic does not have it"
        assert str(raw.call(name, b"a", b"b", b"c")) == said
        assert raw.call(b"COMMAND", b"INFO", name) == [None]


@pytest.mark.parametrize("family", ["ACL", "CLIENT", "COMMAND", "CONFIG", "LATENCY", "MODULE", "PUBSUB", "SLOWLOG"])
def test_families_help_and_say_what_is_wrong(raw: Raw, family: str) -> None:
    help_ = raw.call(family.encode(), b"HELP")
    assert help_[0].startswith(family.encode())
    assert help_[-2:] == [b"HELP", b"    Print this help."]
    assert str(raw.call(family.encode(), b"nonsense")) == f"ERR unknown subcommand 'nonsense'. Try {family} HELP."


@pytest.mark.parametrize("line", ["CLIENT SETNAME", "CLIENT ID 5", "CONFIG GET", "SLOWLOG LEN 1", "ACL WHOAMI me"])
def test_members_of_families_take_so_many_arguments(client: Client, line: str) -> None:
    family, name, *arguments = line.split()
    with pytest.raises(ResponseError, match=rf"wrong number of arguments for '{family}\|{name}' command".lower()):
        client().execute_command(family, name, *arguments)


@pytest.mark.parametrize("line", ["CLIENT PAUSE 100", "CLIENT TRACKING on", "ACL SETUSER a", "LATENCY DOCTOR"])
def test_members_of_families_that_are_missing_say_so_by_name(client: Client, line: str) -> None:
    name = " ".join(line.split()[:2])
    with pytest.raises(ResponseError, match=f"unsupported command '{name}'"):
        client().execute_command(*line.split())


def test_which_keys_a_request_names(raw: Raw) -> None:
    assert raw.call(b"COMMAND", b"GETKEYS", b"MSET", b"a", b"1", b"b", b"2") == [b"a", b"b"]


def test_commands_are_listed_by_pattern_and_counted(raw: Raw) -> None:
    found = raw.call(b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"*incr*")
    assert set(found) == {b"incr", b"incrby", b"incrbyfloat", b"hincrby", b"hincrbyfloat"}
    assert raw.call(b"COMMAND", b"COUNT") == len(raw.call(b"COMMAND"))


async def test_commands_are_listed_by_category(peer: Peer) -> None:
    found = await peer.call(b"COMMAND", b"LIST", b"FILTERBY", b"ACLCAT", b"transaction")
    assert set(found) == {b"multi", b"exec", b"discard", b"watch", b"unwatch"}
    assert await peer.call(b"COMMAND", b"LIST", b"FILTERBY", b"MODULE", b"m") == []
    assert "syntax error" in str(await peer.call(b"COMMAND", b"LIST", b"FILTERBY", b"NONSENSE", b"m"))


async def test_a_subcommand_is_described_by_both_words(peer: Peer) -> None:
    [family] = await peer.call(b"COMMAND", b"INFO", b"client")
    [member] = await peer.call(b"COMMAND", b"INFO", b"client|setname")
    assert member[:2] == [b"client|setname", 3]
    assert member in family[9]


async def test_keys_are_told_only_of_commands_that_have_some(peer: Peer) -> None:
    assert await peer.call(b"COMMAND", b"GETKEYS", b"WATCH", b"a", b"b") == [b"a", b"b"]
    assert "Invalid command" in str(await peer.call(b"COMMAND", b"GETKEYS", b"NONSENSE", b"a"))
    assert "no key arguments" in str(await peer.call(b"COMMAND", b"GETKEYS", b"PING", b"a"))
