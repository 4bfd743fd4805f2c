"""The kinds of a family by name: what is parsed, what is refused, and with which names."""

from __future__ import annotations

import pytest

from crdt_core.commands import CommandError
from crdt_core.commands.kinds import Kinds, key_text, parse_options
from crdt_core.errors import InvalidArgument, WrongType
from crdt_core.types import EWFLAG, GSET, ORSET, RWSET
from crdt_core.types.object import Object

SETS = Kinds(ORSET, GSET, RWSET)


def test_a_kind_is_named_in_any_case_or_not_at_all() -> None:
    assert SETS.parse(parse_options([b"Kind", b"GSET"], b"KIND")) is GSET
    assert SETS.parse(parse_options([], b"KIND")) is None


@pytest.mark.parametrize("name", [b"lwwset", b"ewflag", b"", b"\xff", b"x" * 10_000])
def test_any_other_name_is_refused_in_a_short_line(name: bytes) -> None:
    with pytest.raises(InvalidArgument, match="is not one of orset, gset") as refused:
        SETS.parse({b"KIND": name})
    assert len(str(refused.value)) < 100


def test_what_is_there_keeps_its_kind() -> None:
    for found in (Object(b"k", ORSET), Object(b"k", RWSET)):
        assert SETS.resolve(found, None, GSET) is found.type
    assert SETS.resolve(Object(b"k", GSET), GSET, ORSET) is GSET
    assert (SETS.resolve(None, None, ORSET), SETS.resolve(None, GSET, ORSET)) == (ORSET, GSET)


def test_another_kind_is_refused_with_both_names() -> None:
    with pytest.raises(WrongType) as another:
        SETS.resolve(Object(b"k", ORSET), GSET, ORSET)
    assert (another.value.held, another.value.wanted) == ("orset", "gset")
    with pytest.raises(WrongType) as strange:
        SETS.check(Object(b"\xffk", EWFLAG))
    assert (strange.value.key, strange.value.wanted) == ("\\xffk", "orset or gset or rwset")
    assert SETS.check(None) is None


@pytest.mark.parametrize("args", [[b"KIND"], [b"KIND", b"gset", b"KIND", b"orset"], [b"TIMESTAMP", b"5"], [b"x"]])
def test_options_are_pairs_each_known_and_given_once(args: list[bytes]) -> None:
    with pytest.raises(CommandError, match="syntax error"):
        parse_options(args, b"KIND")


def test_a_key_in_a_sentence_is_text_whatever_it_is() -> None:
    assert key_text("né\n".encode() + b"\xff") == "né\n\\xff"
