"""SUNION and its like: replies of a lone site, and a store against concurrent adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("SUNION a b none", {"1", "2", "3", "4"}),
        ("SINTER a b", {"2", "3"}),
        ("SINTER a b none", set()),
        ("SDIFF a b", {"1"}),
        ("SDIFF b a", {"4"}),
        ("SINTERCARD 2 a b", 2),
        ("SINTERCARD 2 a b LIMIT 1", 1),
        ("SINTERCARD 3 a b", "ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 0 a", "ERR numkeys should be greater than 0"),
        ("SINTERCARD 1 a LIMIT -1", "ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a BEYOND 1", "ERR syntax error"),
    ],
)
def test_sets_are_combined(site: Site, line: str, reply: Any) -> None:
    site("SADD a 1 2 3")
    site("SADD b 2 3 4")
    assert site(line) == reply


def test_an_empty_result_deletes_the_destination(site: Site) -> None:
    site("SADD a 1")
    site("SADD target 2")
    assert site("SDIFFSTORE target a a") == 0
    assert site("EXISTS target") == 0


def test_a_store_is_an_observed_delete_and_adds(fleet: Fleet) -> None:
    fleet.a("SADD s x y")
    fleet.a("SADD target old")
    fleet.sync()
    fleet.a("SUNIONSTORE target s")
    fleet.b("SADD target new")
    fleet.c("SREM s x")
    fleet.sync()
    assert fleet.all("SMEMBERS target") == {"x", "y", "new"}
