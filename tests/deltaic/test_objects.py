"""The objects of both clients, on real nodes that part and hear each other again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deltaic import InvalidArgument, Refused
from tests.deltaic.real import urls_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet import Fleet


@pytest.fixture
def parted(fleet: Fleet, connect: Callable[..., Any]) -> tuple[Any, Any, Callable[[], None]]:
    """Clients of n1 and n2, which do not hear each other until the third is called."""
    one, other = connect(urls_of(fleet, "n1")), connect(urls_of(fleet, "n2"))
    fleet.cut_by_redis(["n1"], ["n2", "n3", "n4", "n5"])

    def meet() -> None:
        fleet.heal()
        fleet.sync_all()
        fleet.agree()

    return one, other, meet


def test_increments_add_up(parted, key: str) -> None:
    one, other, meet = parted
    assert one.counter(key).value() == 0
    assert one.counter(key).increment() == 1
    assert one.counter(key).increment(6) == 7
    assert other.counter(key).decrement(4) == -4
    meet()
    assert one.counter(key).value() == other.counter(key).value() == 3
    assert one.counter(key).delete()
    assert not one.counter(key).delete()


def test_an_add_wins_over_a_concurrent_remove(parted, key: str, fleet: Fleet) -> None:
    one, other, meet = parted
    meet()
    assert one.set(key).add("apple", "pear") == 2
    fleet.agree()
    fleet.cut_by_redis(["n1"], ["n2", "n3", "n4", "n5"])
    assert one.set(key).remove("apple", "kiwi") == 1
    assert other.set(key).add("apple", "fig") == 1
    meet()
    assert one.set(key).members() == other.set(key).members() == {"apple", "pear", "fig"}
    assert one.set(key).size() == 3
    assert one.set(key).contains("fig")
    assert not one.set(key).contains("kiwi")


def test_a_remove_wins_where_it_is_to(parted, key: str) -> None:
    one, other, meet = parted
    assert one.remove_wins_set(key).remove("mallory") == 0
    assert other.remove_wins_set(key).add("mallory", "eve") == 2
    meet()
    assert one.remove_wins_set(key).members() == {"eve"}


def test_the_later_write_of_a_register_shows(parted, key: str) -> None:
    one, other, meet = parted
    assert one.register(key).get() is None
    one.register(key).set("red")
    other.register(key).set("größer \udcff")
    meet()
    assert one.register(key).get() == other.register(key).get() == "größer \udcff"


def test_a_multi_value_register_keeps_both(parted, key: str) -> None:
    one, other, meet = parted
    assert one.multi_value_register(key).values() == []
    one.multi_value_register(key).set("red")
    other.multi_value_register(key).set("blue")
    meet()
    assert sorted(one.multi_value_register(key).values()) == ["blue", "red"]
    one.multi_value_register(key).set("green")
    assert one.multi_value_register(key).values() == ["green"]


@pytest.mark.parametrize(("kind", "shows"), [("flag", True), ("disable_wins_flag", False)])
def test_which_side_of_a_flag_wins(parted, key: str, kind: str, shows: bool, fleet: Fleet) -> None:
    one, other, meet = parted
    here, there = getattr(one, kind)(key), getattr(other, kind)(key)
    assert here.enable()
    meet()
    fleet.cut_by_redis(["n1"], ["n2", "n3", "n4", "n5"])
    assert not here.enable()
    assert there.disable()
    meet()
    assert here.is_enabled() is there.is_enabled() is shows


def test_any_other_command_of_redis(parted, key: str) -> None:
    one, _, _ = parted
    assert one.write("HSET", key, "age", 7, b"name", "Ada") == 2
    assert one.read("HGETALL", key) == [b"age", b"7", b"name", b"Ada"]
    assert one.write("HSET", key, "age", 8, idempotent=True) == 0


def test_what_the_caller_got_wrong(parted, key: str) -> None:
    one, _, _ = parted
    one.set(key).add("apple")
    with pytest.raises(Refused, match=r"refused INCRBY .*: WRONGTYPE"):
        one.counter(key).increment()
    one.counter(key + "!").increment(2**63 - 1)
    with pytest.raises(Refused, match="would overflow"):
        one.counter(key + "!").increment()
    with pytest.raises(Refused, match="unsupported command"):
        one.read("ZRANGE", key, 0, 1)
    one.register(key + "?").set("word")
    with pytest.raises(InvalidArgument, match="no counter"):
        one.counter(key + "?").value()


def test_an_object_says_what_it_is(connect, fleet: Fleet) -> None:
    client = connect(urls_of(fleet, "n1"))
    assert client.counter("hits").key == "hits"
