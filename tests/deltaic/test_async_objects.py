"""The asyncio objects are the blocking ones, awaited: `test_objects` runs both, this compares them."""

from __future__ import annotations

import inspect

import pytest

from deltaic import async_objects, objects

KINDS = [name for name in objects.__all__ if name != "Runs"]


@pytest.mark.parametrize("name", KINDS)
def test_the_same_methods_with_the_same_words(name: str) -> None:
    one, other = getattr(objects, name), getattr(async_objects, f"Async{name}")
    assert inspect.getdoc(one) == inspect.getdoc(other)
    methods = [method for method, _ in inspect.getmembers(one, inspect.isfunction) if not method.startswith("_")]
    assert methods == [m for m, _ in inspect.getmembers(other, inspect.isfunction) if not m.startswith("_")]
    for method in methods:
        here, there = getattr(one, method), getattr(other, method)
        assert inspect.iscoroutinefunction(there)
        assert not inspect.iscoroutinefunction(here)
        assert inspect.signature(here) == inspect.signature(there)
        assert inspect.getdoc(here) == inspect.getdoc(there)


def test_none_is_missing() -> None:
    assert {f"Async{name}" for name in objects.__all__} == set(async_objects.__all__)
