"""COPY and RENAME, on objects of every registered type: what shows is copied, or the type is refused by its name."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import CommandOptions, Policies
from crdt_core.lattice.clocks import Stamp
from crdt_core.types import FAMILIES, MVREGISTER, RWSET, TYPES
from tests.crdt_core.histories import NOW, perform
from tests.crdt_core.sites import START_MS, Site
from tests.crdt_core.types.models import MODELS

if TYPE_CHECKING:
    from typing import Any

    from crdt_core.types.object import Object

KEY, TARGET = b"k", b"t"
VALUES = [name for name, type_ in TYPES.items() if not type_.attribute]

every_type = pytest.mark.parametrize("name", VALUES)


def holding(name: str, seed: int = 3) -> Site:
    """A site with an object of that type that shows."""
    rng, site = Random(seed), Site("n1")
    while not site.replica.showing(KEY):
        perform(site.replica, MODELS[name].operation(rng, KEY).at(Stamp(START_MS, 0)))
        site.replica.commit(NOW)
    return site


def shown(site: Site, key: bytes) -> Object | None:
    """The object that shows under `key`."""
    return next(iter(site.replica.showing(key)), None)


def contents(site: Site, key: bytes) -> Any:
    """What is copied of it."""
    found = shown(site, key)
    return None if found is None else found.type.contents(site.replica.catalogue.view(found))


@every_type
def test_a_copy_shows_the_same_and_the_source_stays(name: str) -> None:
    site = holding(name)
    before = contents(site, KEY)
    if before is None:
        assert site("COPY k t") == f"ERR a key of type {name} cannot be copied or renamed"
        assert shown(site, TARGET) is None
        return
    assert site("COPY k t") == 1
    assert contents(site, KEY) == contents(site, TARGET) == before
    copy = shown(site, TARGET)
    assert copy is not None
    assert copy.type.family == TYPES[name].family
    assert copy.type is TYPES[name] or not TYPES[name].plain
    assert site("COPY k t") == 0, "it is there already"
    assert site("COPY k t REPLACE") == 1


@every_type
def test_a_renamed_key_takes_its_deadline_along(name: str) -> None:
    site = holding(name)
    before = contents(site, KEY)
    if before is None:
        assert site("RENAME k t").startswith("ERR")
        assert site("EXISTS k") == 1
        return
    assert site("EXPIRE k 100") == 1
    assert site("RENAME k t") == "OK"
    assert site("EXISTS k") == 0
    assert contents(site, TARGET) == before
    assert site("TTL t") == 100


@every_type
def test_whatever_was_under_the_target_is_gone(name: str) -> None:
    for before in ("SADD t old", "HSET t f old", "SET t old EX 50", "DELTAIC.EWENABLE t", "DELTAIC.MVSET t old"):
        site = holding(name)
        value = contents(site, KEY)
        if value is None:
            return
        site(before)
        assert site("COPY k t REPLACE") == 1
        assert contents(site, TARGET) == value
        assert [link.type.name for link in site.replica.showing(TARGET)] == [shown(site, TARGET).type.name]
        assert site("TTL t") == -1


@every_type
def test_a_plain_object_of_the_same_family_keeps_its_type_when_it_is_overwritten(name: str) -> None:
    type_ = TYPES[name]
    for other in FAMILIES[type_.family]:
        site = holding(other.name)
        if not other.plain or contents(site, KEY) is None:
            continue
        site("RENAME k t")
        rng = Random(1)
        while not site.replica.showing(KEY):
            perform(site.replica, MODELS[name].operation(rng, KEY).at(Stamp(START_MS, 0)))
            site.replica.commit(NOW)
        assert site("COPY k t REPLACE") == 1
        assert shown(site, TARGET).type is other


def test_a_policy_says_the_type_of_a_copy_under_a_new_name() -> None:
    site = Site("n1")
    site.options = CommandOptions(policies=Policies({b"ban:": RWSET}, {b"note:": MVREGISTER}))
    site("SADD s a")
    site("SET k v")
    site("COPY s ban:s")
    site("COPY k note:k")
    assert shown(site, b"ban:s").type is RWSET
    assert shown(site, b"note:k").type is MVREGISTER


def test_a_copy_of_a_count_is_a_number() -> None:
    """Increments of the old name that are concurrent stay under the old name: the copy has no shares."""
    site = Site("n1")
    site("INCRBY k 5", "HINCRBY h f 2")
    site("COPY k t")
    site("COPY h i")
    assert [site("GET t"), site("HGET i f")] == ["5", "2"]
    assert list(shown(site, TARGET).parts) == [b""]
    assert list(shown(site, b"i").parts) == [b"f"]
