"""A dict of many small ones behaves like one dict, and is the same in every process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.lattice.split_dict import SplitDict
from tests.crdt_core.hash_seeds import printed

KEYS = st.sampled_from([b"%d" % number for number in range(12)])
DEEDS = st.one_of(
    st.tuples(st.just("__setitem__"), KEYS, st.integers()),
    st.tuples(st.just("setdefault"), KEYS, st.integers()),
    st.tuples(st.just("pop"), KEYS, st.none()),
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("get"), KEYS, st.integers()),
)


@given(st.lists(DEEDS))
def test_it_does_what_a_dict_does(deeds: list[tuple[str, ...]]) -> None:
    expected: dict[bytes, int] = {}
    made: SplitDict[int] = SplitDict()
    for name, *arguments in deeds:
        assert getattr(made, name)(*arguments) == getattr(expected, name)(*arguments)
        assert made == expected
        assert (len(made), bool(made)) == (len(expected), bool(expected))
        assert sorted(made.items()) == sorted(expected.items())
        assert [*made] == [*made.walk()] == [key for key, _ in made.items()]
        assert [*made.values()] == [made[key] for key in made]
        assert (b"0" in made) == (b"0" in expected)
    assert SplitDict(expected) == SplitDict(expected.items()) == expected


def test_a_walk_comes_to_what_stays_whatever_comes_and_goes() -> None:
    made = SplitDict((b"%d" % number, number) for number in range(1000))
    seen: list[bytes] = []
    for key in made.walk():
        seen.append(key)
        made[b"new %d" % len(seen)] = 0
        if int(key) % 2 if key.isdigit() else False:
            del made[key]
    stayed = [key for key in seen if key.isdigit()]
    assert sorted(stayed, key=int) == [b"%d" % number for number in range(1000)]
    assert len({*seen}) == len(seen)


def test_the_order_is_the_same_in_every_process() -> None:
    program = (
        "from crdt_core.lattice.split_dict import SplitDict;"
        "print(list(SplitDict((b'%d' % number, number) for number in range(999))))"
    )
    assert len(printed(program)) == 1


def test_no_dict_holds_more_than_a_fraction_of_many_entries() -> None:
    """One dict of all keys moved 700 000 entries at once, and a node that joined a million keys answered nobody."""
    made = SplitDict((b"key:%d" % number, number) for number in range(20_000))
    assert max(map(len, made.dicts)) < len(made) / 100
