"""The row of a command: what it derives, and what it refuses to be made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crdt_core.commands import COMMANDS, Command
from crdt_core.commands.command import ALL_KEYS, KEY, NO_KEYS, PAIRS, TWO_KEYS


def nothing(_context: object, _args: list[bytes]) -> None:
    """The function of a row that is never run."""


ROW: Command[object] = Command("string", "GET key", 2, KEY, "readonly fast", nothing, "Returns the string.")


def test_a_row_knows_its_name_and_whether_it_writes() -> None:
    assert (ROW.name, ROW.title, ROW.arguments, ROW.words, ROW.writes) == (b"GET", "GET", "key", 1, False)
    member = replace(ROW, usage="CLIENT|KILL ip:port", flags="write no_auth")
    assert (member.name, member.title, member.words, member.writes) == (b"CLIENT|KILL", "CLIENT KILL", 2, True)
    assert (ROW.for_strangers, member.for_strangers) == (False, True)


@pytest.mark.parametrize("wrong", [{"flags": "readonly fats"}, {"usage": "Get key"}, {"flags": "WRITE"}])
def test_a_row_with_an_unknown_flag_or_a_name_in_small_letters_cannot_be_made(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the row of"):
        replace(ROW, **wrong)


@pytest.mark.parametrize(
    ("keys", "places"),
    [(NO_KEYS, []), (KEY, [1]), (TWO_KEYS, [1, 2]), (ALL_KEYS, [1, 2, 3, 4]), (PAIRS, [1, 3])],
)
def test_the_places_of_keys(keys: tuple[int, int, int], places: list[int]) -> None:
    assert list(replace(ROW, keys=keys).keys_among([b"NAME", b"a", b"b", b"c", b"d"])) == places


def test_categories_of_access_control_follow_from_the_group_and_the_flags() -> None:
    assert replace(ROW, flags="admin").acl_categories == ["@admin", "@dangerous", "@slow", "@string"]
    assert replace(ROW, flags="write blocking", categories="").acl_categories == ["@blocking", "@slow", "@write"]


@pytest.mark.parametrize("name", COMMANDS, ids=bytes.decode)
def test_every_row_says_what_concurrent_calls_give_if_it_writes(name: bytes) -> None:
    command = COMMANDS[name]
    assert bool(command.concurrent) == command.writes
    assert command.summary.endswith(".")
    assert command.complexity.startswith("O(")
