"""What a command runs on: random choices, reserved keys, and the limits of values and replies."""

from __future__ import annotations

import pytest

from crdt_core.commands import CommandOptions, Session
from crdt_core.replica.replica import Replica
from tests.crdt_core.sites import Site

OPTIONS = CommandOptions(value_bytes_max=100, reply_bytes_max=1000)
LONG_REPLY = "(setting limits.output_bytes_max)"


@pytest.fixture
def site() -> Site:
    made = Site("n1")
    made.options = OPTIONS
    made(f"SET k {'v' * 90}")
    made("SADD s " + " ".join(f"{number:090}" for number in range(12)))
    made("HSET h " + " ".join(f"{number:045} {number:045}" for number in range(12)))
    return made


def test_a_value_does_not_grow_beyond_its_limit(site: Site) -> None:
    refused = "ERR value: 101 bytes, over the limit of 100 (setting limits.value_bytes_max)"
    assert site("APPEND k 12345678901") == refused
    assert site("SETRANGE k 99 12") == refused
    assert site("SETRANGE k 536870911 1").startswith("ERR value: 536870912 bytes, over the limit of 100 ")
    assert site("GET k") == "v" * 90
    assert site("APPEND k 1234567890") == 100
    assert site("SETRANGE k 99 x") == 100


@pytest.mark.parametrize(
    "line",
    [
        "SMEMBERS s",
        "SRANDMEMBER s -12",
        "SRANDMEMBER s -1048576",
        "SRANDMEMBER s 12",
        "SSCAN s 0 COUNT 100",
        "SUNION s s",
        "SINTER s",
        "SDIFF s",
        "SPOP s 12",
        "MGET " + " ".join(["k"] * 12),
        "HGETALL h",
        "HMGET h " + " ".join([f"{1:045}"] * 23),
        "HRANDFIELD h -12 WITHVALUES",
        "HRANDFIELD h -23",
        "HSCAN h 0 COUNT 100",
    ],
)
def test_a_reply_that_would_be_too_long_is_refused(site: Site, line: str) -> None:
    reply = site(line)
    assert isinstance(reply, str)
    assert reply.startswith("ERR reply: ")
    assert reply.endswith(LONG_REPLY)
    assert (site("SCARD s"), site("HLEN h")) == (12, 12)


@pytest.mark.parametrize(
    ("line", "items"),
    [
        ("SRANDMEMBER s -11", 11),
        ("SRANDMEMBER s 11", 11),
        ("MGET " + " ".join(["k"] * 11), 11),
        ("HKEYS h", 12),
        ("HVALS h", 12),
        ("HRANDFIELD h -11 WITHVALUES", None),
        ("SPOP s 11", 11),
    ],
)
def test_a_reply_that_just_fits_is_given(site: Site, line: str, items: int | None) -> None:
    reply = site(line)
    assert not isinstance(reply, str)
    assert items is None or len(reply) == items


@pytest.mark.parametrize("line", ["SRANDMEMBER s -9223372036854775807", "HRANDFIELD h -9223372036854775807"])
def test_a_count_that_no_memory_holds_is_refused(site: Site, line: str) -> None:
    assert site(line) == "ERR value is out of range, must be at least -1048576"


def test_a_count_below_all_integers_is_told_as_redis_tells_it(site: Site) -> None:
    assert site("SRANDMEMBER s -9223372036854775808").startswith("ERR value is out of range, value must between -")


def test_a_seed_always_gives_the_same_choices() -> None:
    def choices(seed: int) -> list[int]:
        session = Session(Replica("n1"), 1, seed)
        return [session.random(100) for _ in range(20)]

    assert choices(1) == choices(1) != choices(2)
    assert all(0 <= choice < 100 for choice in choices(3))


def test_keys_of_deltaic_neither_show_nor_can_be_made(site: Site) -> None:
    assert site("SET deltaic:k v") == "ERR keys that begin with 'deltaic:' are reserved"
    assert set(site("KEYS *")) == {"k", "s", "h"}
