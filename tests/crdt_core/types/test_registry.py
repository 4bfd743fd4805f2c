"""The registry: every type is there once, has a model, and prevails in the published order."""

from __future__ import annotations

from crdt_core.types import FAMILIES, TYPES
from tests.crdt_core.types.models import MODELS

PUBLISHED = (
    *("pncounter", "gcounter", "string", "orset", "gset", "rwset", "hash", "lwwregister", "mvregister", "ewflag"),
    *("dwflag", "members"),
)
"""The order in which the types of 0.1.0 prevail. Fleets rely on it: a new type may come anywhere, these never move."""


def test_every_registered_type_has_a_model() -> None:
    missing = [
        f"{name}: {type(type_).__module__.rpartition('.')[2]}" for name, type_ in TYPES.items() if name not in MODELS
    ]
    assert not missing, "write a model in tests/crdt_core/types/models, in the module named behind the type"
    assert MODELS.keys() == TYPES.keys(), "a model is of a type that is not registered"


def test_a_type_is_found_by_its_name() -> None:
    for name, type_ in TYPES.items():
        assert (type_.name, type_.encoded_name) == (name, name.encode())
        assert name.isascii()
        assert name.isalnum(), "it stands in the names of Redis keys"


def test_types_prevail_in_the_published_order() -> None:
    assert tuple(name for name in TYPES if name in PUBLISHED) == PUBLISHED
    assert [type_.rank for type_ in TYPES.values()] == list(range(len(TYPES)))


def test_a_family_has_its_types_in_their_order() -> None:
    assert sorted(type_.rank for types in FAMILIES.values() for type_ in types) == list(range(len(TYPES)))
    for family, types in FAMILIES.items():
        assert {type_.family for type_ in types} == {family}
        assert list(types) == sorted(types, key=lambda type_: type_.rank)
        assert len({type_.redis_type for type_ in types if type_.redis_type != type_.name}) <= 1, "TYPE says one thing"


def test_what_is_not_plain_is_overwritten_with_a_plain_type() -> None:
    for types in FAMILIES.values():
        assert any(type_.plain for type_ in types)
