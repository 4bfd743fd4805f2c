"""The examples of all models as deltas, patches and records: what tests of the codec alter, and fuzzers spoil."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.types import TYPES
from crdt_core.types.text import decode_text
from tests.crdt_core.types.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.crdt_core.types.models.model import Example

__all__ = ["delta_value", "keys_of", "parts_value", "patch_value", "records", "siblings_values"]

_DOTS = ("n1:3", "n2:4", "n2:3", "n1:2")
_CLOCK = {"n1": 3, "n2": 4}


def delta_value(names: Iterable[str] = TYPES) -> dict[str, Any]:
    """Return the third delta of n1. It clears collections, writes every example of these types, and removes a part."""
    writes: list[Any] = []
    for name in names:
        if TYPES[name].collection:
            writes.append([name, name, None, None])
        for examples in _by_part(name):
            writes += [[f"{name}{'+' * n}", name, example.part, example.json] for n, example in enumerate(examples)]
        writes.append([f"{name}-", name, MODELS[name].examples[0].part, None])
    writes.sort(key=lambda write: write[2] is not None)
    return {"v": 1, "dot": "n1:3", "deps": {"n1": 2, "n2": 1}, "hlc": [5, 0], "writes": writes}


def parts_value(names: Iterable[str] = TYPES) -> list[Any]:
    """Return the parts of a patch that hold every example of these types, clears and a removal beside each."""
    parts: list[Any] = []
    for name in names:
        if TYPES[name].collection:
            parts.append([name, name, None, {"n2:2": {"n1": 3, "n2": 1}}])
        parts += [[name, name, examples[0].part, _siblings(examples)] for examples in _by_part(name)]
    return sorted(parts, key=_order)


def patch_value(names: Iterable[str] = TYPES, **changed: Any) -> dict[str, Any]:
    """Return a patch of n2 for a replica that has seen two commits of n1; `changed` are fields to replace."""
    fields = {"origin": "n2", "since": {"n1": 2}, "clock": _CLOCK, "stable": {"n1": 1}, "hlc": [5, 0]}
    return {"v": 1, **fields, "parts": parts_value(names), **changed}


def siblings_values(name: str) -> list[dict[str, Any]]:
    """Return the siblings of each part of the type's examples."""
    return [_siblings(examples) for examples in _by_part(name)]


def records(name: str) -> list[bytes]:
    """Return the record of an object of the type, as the catalogue holds it; an object of few parts is there whole."""
    if TYPES[name].collection:
        return [orjson.dumps({"type": name}), orjson.dumps({"type": name, "clears": {"n2:4": {"n1": 3, "n2": 3}}})]
    return [orjson.dumps({"type": name, "parts": {e[0].part: _siblings(e) for e in _by_part(name)}})]


def keys_of(value: dict[str, Any]) -> list[bytes]:
    """Return the keys in a delta or a patch."""
    return list(dict.fromkeys(decode_text(item[0]) for item in value.get("writes", value.get("parts", ()))))


def _by_part(name: str) -> list[list[Example]]:
    found: defaultdict[bytes, list[Example]] = defaultdict(list)
    for example in MODELS[name].examples:
        found[decode_text(example.part)].append(example)
    return list(found.values())


def _siblings(examples: list[Example]) -> dict[str, Any]:
    payloads = [*(example.json for example in examples[: len(_DOTS) - 1]), None]
    return dict(sorted(zip(_DOTS, payloads, strict=False)))


def _order(part: list[Any]) -> tuple[bytes, str, bytes]:
    return decode_text(part[0]), part[1], b"" if part[2] is None else b"\0" + decode_text(part[2])
