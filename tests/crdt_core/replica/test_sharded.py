"""The mapping of small dicts behaves like one dict, whatever happens to it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.replica.sharded import Sharded, sharded

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = st.sampled_from([(b"%d" % number, "set", None if number % 5 else b"") for number in range(12)])
DEEDS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers()),
    st.tuples(st.just("setdefault"), KEYS, st.integers()),
    st.tuples(st.just("pop"), KEYS, st.integers()),
    st.tuples(st.just("popitem")),
)


def do(mapping: dict[object, object] | Sharded[object, object], deed: tuple[object, ...]) -> object:
    acts: dict[object, Callable[..., object]] = {"set": mapping.__setitem__, "setdefault": mapping.setdefault}
    if deed[0] == "popitem":
        return mapping.popitem() if mapping else None
    return acts.get(deed[0], mapping.pop)(*deed[1:])


@given(st.lists(DEEDS))
def test_it_does_what_a_dict_does_in_the_same_order(deeds: list[tuple[object, ...]]) -> None:
    expected: dict[object, object] = {}
    made: Sharded[object, object] = Sharded()
    for deed in deeds:
        assert do(made, deed) == do(expected, deed)
        assert list(made.items()) == list(expected.items())
        assert list(reversed(made)) == list(reversed(expected))
        assert (len(made), bool(made)) == (len(expected), bool(expected))
    assert all((deed[1] in made) == (deed[1] in expected) for deed in deeds if len(deed) > 1)


def test_so_does_a_large_one_of_which_no_piece_is_long() -> None:
    """A list of a million values was moved when it grew, and that held a node for 60 ms."""
    chance, expected, made = Random(1), dict[int, int](), Sharded[int, int]()
    for number in chance.choices(range(30_000), k=60_000):
        for mapping in (expected, made):
            if number % 3:
                mapping[number] = mapping.setdefault(number, 0) + 1
            else:
                mapping.pop(number - 1, None)
    while len(expected) > 5000:
        assert made.popitem() == expected.popitem()
    for mapping in (expected, made):
        mapping.update((number, -number) for number in range(25_000, 45_000))
    assert list(made.items()) == list(expected.items())
    assert list(reversed(made)) == list(reversed(expected))
    assert max(len(piece) for piece in made.pieces()) <= 4096


def test_an_empty_one_has_nothing_to_give() -> None:
    with pytest.raises(KeyError):
        Sharded().popitem()
    with pytest.raises(KeyError):
        del Sharded[bytes, int]()[b"key"]


def test_whoever_empties_its_pieces_has_freed_all_of_it() -> None:
    made = sharded({number: [number] for number in range(100)})
    pieces = made.pieces()
    assert sum(map(len, pieces)) == 300
    assert max(len(piece) for piece in pieces if isinstance(piece, dict)) < 10


def test_what_is_sharded_already_stays_the_same_object() -> None:
    made = sharded({b"a": 1, b"b": 2})
    assert list(made.items()) == [(b"a", 1), (b"b", 2)]
    assert sharded(made) is made
