"""Keyspace notifications: which events the changes of one turn give, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crdt_core.sites import START_MS, Site
from workers.resp.notifications import announce

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site("n1")
    site.replica.take_changes()
    return site


def told(site: Site, *lines: str) -> dict[str, set[str]]:
    """What is published of one turn that runs these commands, by key."""
    if lines:
        site(*lines)
    site.replica.take_changes()
    sent: list[tuple[bytes, bytes]] = []
    changed = dict(site.replica.catalogue.in_flight)
    announce(changed, site.replica.catalogue, site.wall_ms, lambda *message: sent.append(message))
    site.replica.catalogue.in_flight = {}
    found: dict[str, set[str]] = {}
    for channel, data in sent:
        if channel.startswith(b"__keyspace@0__:"):
            found.setdefault(channel.removeprefix(b"__keyspace@0__:").decode(), set()).add(data.decode())
        else:
            key_event = channel.removeprefix(b"__keyevent@0__:")
            assert (b"__keyspace@0__:" + data, key_event) in sent, "both channels say the same"
    return found


CASES: list[tuple[list[str], str, set[str]]] = [
    ([], "SET k v", {"set"}),
    (["SET k v"], "SET k w", {"set"}),
    ([], "INCR k", {"incrby"}),
    (["SET k 1"], "INCRBY k 5", {"incrby"}),
    ([], "DELTAIC.MVSET k v", {"set"}),
    ([], "SADD k a b", {"sadd"}),
    (["SADD k a b"], "SREM k a", {"srem"}),
    (["SADD k a"], "SADD k a", set()),
    (["SADD k a"], "SREM k a", {"del"}),
    (["DELTAIC.RWSADD k a b"], "DELTAIC.RWSREM k a", {"srem"}),
    ([], "HSET k f v", {"hset"}),
    ([], "HINCRBY k f 2", {"hincrby"}),
    (["HSET k f v g v"], "HDEL k f", {"hdel"}),
    ([], "DELTAIC.EWENABLE k", {"write"}),
    (["SET k v"], "EXPIRE k 100", {"expire"}),
    (["SADD k a", "EXPIRE k 100"], "PERSIST k", {"persist"}),
    (["SET k v EX 100"], "SET k w", {"set", "persist"}),
    (["SET k v"], "DEL k", {"del"}),
    (["SADD k a"], "SET k v", {"set", "srem"}),
]


@pytest.mark.parametrize(("before", "line", "events"), CASES, ids=[line for _, line, _ in CASES])
def test_a_change_gives_its_events(site: Site, before: list[str], line: str, events: set[str]) -> None:
    for earlier in before:
        site(earlier)
    told(site)
    assert told(site, line) == ({"k": events} if events else {})


def test_what_comes_and_goes_in_one_turn_gives_no_event(site: Site) -> None:
    assert told(site, "SADD k a", "DEL k") == {}
    assert told(site, "SET k v", "DEL k", "SET k w") == {"k": {"set"}}


def test_a_key_whose_time_is_over_has_expired(site: Site) -> None:
    told(site, "SET k v EX 10", "SADD s a")
    site.wall_ms = START_MS + 10_001
    assert told(site, "GETDEL k") == {"k": {"expired"}}
    assert told(site, "DEL s") == {"s": {"del"}}


def test_a_key_that_is_deleted_in_time_is_deleted(site: Site) -> None:
    told(site, "SET k v EX 10")
    assert told(site, "DEL k") == {"k": {"del"}}


def test_keys_of_one_turn_are_told_each_and_deltaic_s_own_never(site: Site) -> None:
    from crdt_core.membership.changes import AddMember

    assert told(site, "SET a 1", "SADD b x") == {"a": {"set"}, "b": {"sadd"}}
    result: Any = site.run(AddMember("n2", "", "", "a1"))
    assert result == "n2-a1"
    assert told(site) == {}
