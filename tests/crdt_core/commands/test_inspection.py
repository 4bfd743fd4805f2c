"""DELTAIC.INSPECT: what a replica sees of a key, as JSON."""

from __future__ import annotations

from typing import Any

import orjson

from crdt_core.commands import CommandOptions
from tests.crdt_core.sites import START_MS, Site
from tests.invocations import command

LARGEST = 2**63 - 1


def inspected(site: Site, key: str) -> tuple[str, Any, Any, list[str]]:
    seen = site(f"DELTAIC.INSPECT {key}")
    return seen["type"], orjson.loads(seen["value"]), orjson.loads(seen["siblings"]), seen["conflicts"]


def test_every_part_is_shown_with_the_dots_of_its_writes(site: Site) -> None:
    site("DELTAIC.SET.ADD s b")
    site("DELTAIC.SET.ADD s a")
    assert inspected(site, "s") == ("orset", ["a", "b"], {"a": {"n1:2": True}, "b": {"n1:1": True}}, [])
    site("DELTAIC.REGISTER.SET r v TIMESTAMP 7")
    assert inspected(site, "r") == ("lwwregister", "v", {"": {"n1:3": ["v", 7, 0]}}, [])
    site("HSET h f v")
    assert inspected(site, "h")[:2] == ("hash", {"f": "v"})


def test_what_is_no_text_is_wrapped(site: Site) -> None:
    site.run(command("DELTAIC.SET.ADD", b"s", b"\xff"))
    assert inspected(site, "s")[1:3] == ([{"b64": "/w=="}], {"{'b64': '/w=='}": {"n1:1": True}})


def test_a_key_that_shows_nothing_is_none(site: Site) -> None:
    site("SADD s x")
    site("SREM s x")
    assert [site("DELTAIC.INSPECT s"), site("DELTAIC.INSPECT never")] == [None, None]


def test_an_expired_key_is_none_before_it_is_swept(site: Site) -> None:
    site("SADD s x")
    site("PEXPIRE s 100")
    site.wall_ms = START_MS + 99
    assert inspected(site, "s")[0] == "orset"
    site.wall_ms = START_MS + 100
    assert site("DELTAIC.INSPECT s") is None


def test_types_that_are_hidden_are_named(site: Site) -> None:
    other = Site("n2")
    site("SADD k x")
    other("SET k v")
    site.hears_deltas((other,))
    assert inspected(site, "k")[::3] == ("string", ["orset"])


def test_a_value_beyond_64_bits_is_decimal_text(site: Site) -> None:
    other = Site("n2")
    for one in (site, other):
        one(f"DELTAIC.COUNTER.ADD c {LARGEST}")
    site.hears_deltas((other,))
    assert inspected(site, "c")[1] == str(2 * LARGEST)


def test_what_is_longer_than_a_reply_may_be_is_refused(site: Site) -> None:
    site.options = CommandOptions(value_bytes_max=1000, reply_bytes_max=1000)
    for number in range(100):
        site(f"SADD s member-{number}")
    assert "over the limit of 1000 (setting limits.output_bytes_max)" in site("DELTAIC.INSPECT s")


def test_keys_of_deltaic_are_refused(site: Site) -> None:
    assert site("DELTAIC.INSPECT deltaic:members") == "ERR keys that begin with 'deltaic:' are reserved"
