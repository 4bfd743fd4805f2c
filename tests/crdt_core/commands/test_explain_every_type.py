"""DELTAIC.EXPLAIN and DELTAIC.SIBLINGS, on objects of every registered type, as random operations leave them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.commands import CommandError
from crdt_core.lattice.clocks import Stamp
from crdt_core.types import TYPES
from tests.crdt_core.histories import NOW, delete, perform
from tests.crdt_core.sites import START_MS, Fleet, Site
from tests.crdt_core.types.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k"

every_type = pytest.mark.parametrize("name", TYPES)


def written(*names: str, seeds: int = 12) -> Iterator[Site]:
    """Sites of fleets in which objects of these types were written to at random, apart and together."""
    for seed in range(seeds):
        rng, fleet = Random(seed), Fleet("patches", (0, 1, 2))
        for _ in range(rng.randint(2, 10)):
            site, model = rng.choice(fleet.sites), MODELS[rng.choice(names)]
            operation = delete(KEY) if rng.random() < 0.2 else model.operation(rng, KEY)
            perform(site.replica, operation.at(Stamp(START_MS + rng.randint(0, 3), 0)))
            site.replica.commit(NOW)
            if rng.random() < 0.3:
                fleet.sync()
        fleet.sync()
        yield fleet.a


@every_type
def test_every_write_is_told_with_its_type_its_json_and_what_becomes_of_it(name: str) -> None:
    for site in written(name):
        told = site("DELTAIC.EXPLAIN k")
        if told is None:
            continue
        found = site.replica.catalogue.find(KEY, name)
        assert found is not None
        assert told["parts"] == len(found.parts)
        for write in told["writes"]:
            assert write["type"] == name
            json = orjson.loads(write["says"])
            assert json is None or TYPES[name].encode_payload(TYPES[name].decode_payload(json)) == json
            assert write["so"]
        assert [write["part"] for write in told["writes"]] == sorted(write["part"] for write in told["writes"])


@every_type
def test_siblings_are_the_same_writes_by_part(name: str) -> None:
    for site in written(name):
        told = site("DELTAIC.EXPLAIN k")
        siblings = site("DELTAIC.SIBLINGS k")
        pairs = [(part, dot, says) for _, part, dots in siblings for dot, says in dots.items()]
        assert pairs == [(w["part"], w["dot"], w["says"]) for w in (told["writes"] if told else [])]


def test_what_another_type_hides_is_named_and_told_as_hidden() -> None:
    for site in written("orset", "string", "rwset"):
        told = site("DELTAIC.EXPLAIN k")
        showing = [link.type.name for link in site.replica.showing(KEY)]
        assert told is None or told["hidden"] == showing[1:]
        for write in told["writes"] if told else ():
            hidden = write["so"].startswith("is hidden: ")
            shows_nothing = write["so"].startswith(("removes", "takes away"))
            assert hidden == (write["type"] in showing[1:] and not shows_nothing)


def test_as_many_writes_are_told_as_were_asked_for() -> None:
    site = Site("n1")
    site("SADD k a b c")
    assert len(site("DELTAIC.EXPLAIN k COUNT 2")["writes"]) == 2
    assert len(site("DELTAIC.SIBLINGS k COUNT 2")) == 2
    for wrong in ("COUNT 0", "COUNT", "LIMIT 2", "COUNT 2 3"):
        assert site(f"DELTAIC.EXPLAIN k {wrong}").startswith("ERR")
    assert site("DELTAIC.EXPLAIN deltaic:members") == "ERR keys that begin with 'deltaic:' are reserved"


def test_nothing_is_told_of_what_was_never_there() -> None:
    site = Site("n1")
    assert site("DELTAIC.EXPLAIN k") is None
    assert site("DELTAIC.SIBLINGS k") == []
    with pytest.raises(CommandError):
        site("DELTAIC.EXPLAIN")
