"""What COMMAND DOCS says: the arguments as the usage has them."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.commands import Command, Map
from crdt_core.commands.command import KEY
from workers.resp.commands.table import TABLE
from workers.resp.documentation import documentation


def nothing(_context: object, _args: list[bytes]) -> None:
    """The function of a row that is never run."""


def said(usage: str, **row: Any) -> dict[bytes, Any]:
    command: Command[object] = Command("string", usage, -1, KEY, "write", nothing, "Does it.", **row)
    return dict(documentation(command).items)  # type: ignore[arg-type]


def shown(argument: Any) -> Any:
    """An argument as a plain dict."""
    if isinstance(argument, Map):
        return {name.decode(): shown(value) for name, value in argument.items}  # type: ignore[union-attr]
    if isinstance(argument, list):
        return [shown(item) for item in argument]
    return argument.decode() if isinstance(argument, bytes) else {flag.text for flag in argument.items}


def arguments(usage: str) -> Any:
    return shown(said(usage).get(b"arguments", []))


def test_a_plain_argument_is_a_key_or_a_string() -> None:
    assert arguments("X key value") == [{"name": "key", "type": "key"}, {"name": "value", "type": "string"}]
    assert arguments("X") == []


def test_what_may_be_left_out_or_repeated_has_flags() -> None:
    optional, multiple = {"optional"}, {"multiple"}
    assert arguments("X [a]") == [{"name": "a", "type": "string", "flags": optional}]
    assert arguments("X a [a ...]") == [{"name": "a", "type": "string", "flags": multiple}]
    assert arguments("X [a [a ...]]") == [{"name": "a", "type": "string", "flags": {"optional", "multiple"}}]


def types_in(found: Any) -> set[str]:
    """The types of arguments, and of what they are made of."""
    return {argument["type"] for argument in found} | {
        type_ for argument in found for type_ in types_in(argument.get("arguments", []))
    }


def test_a_bracket_with_choices_may_be_repeated() -> None:
    """redis-cli complained of an unknown type `ellipsis` before every HELP, because of BITFIELD."""
    [choice] = arguments("X [GET a | SET a b ...]")
    assert (choice["type"], choice["flags"]) == ("oneof", {"optional", "multiple"})
    assert [inner["type"] for inner in choice["arguments"]] == ["string", "block"]


@pytest.mark.parametrize("name", sorted(TABLE.commands.keys() | TABLE.members.keys()), ids=bytes.decode)
def test_every_type_of_an_argument_is_one_of_redis_s(name: bytes) -> None:
    row = TABLE.named(name)
    assert row is not None
    known = {"string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block"}
    assert types_in(shown(dict(documentation(row).items).get(b"arguments", []))) <= known


def test_words_in_capitals_are_tokens_alone_or_before_an_argument() -> None:
    [choice] = arguments("X [NX | EX seconds]")
    assert (choice["type"], choice["flags"]) == ("oneof", {"optional"})
    assert choice["arguments"] == [
        {"name": "nx", "type": "pure-token", "token": "NX"},
        {"name": "seconds", "type": "string", "token": "EX"},
    ]


def test_the_summary_tells_what_concurrent_calls_give() -> None:
    assert said("X", concurrent="They add up.")[b"summary"] == b"Does it. Concurrent: They add up."
    assert said("X", complexity="O(N)", since="0.2.0")[b"complexity"] == b"O(N)"


def test_a_family_is_documented_by_its_members() -> None:
    items = dict(documentation(TABLE.commands[b"CLIENT"]).items)
    members = dict(items[b"subcommands"].items)  # type: ignore[union-attr]
    assert b"client|setname" in members
    assert b"arguments" not in items
