"""Sound examples of a delta and a patch, and ways to spoil them a little: what a peer gone wrong might send."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import strategies as st

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.errors import CallerError
from crdt_core.types import TYPES
from tests.crdt_core.histories import NOW, Operation, digest_from_scratch, operations, perform, values
from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.models.wire import delta_value, keys_of, patch_value

if TYPE_CHECKING:
    from crdt_core.replica.replica import Replica

__all__ = ["DELTA", "NONSENSE", "PATCH", "changed", "mangled", "operations_on", "survives"]

DELTA, PATCH = delta_value(), patch_value()

SPARE: list[Any] = [
    *(0, 1, 2, 3, 4, 5, 2**63 - 1),
    *("", "n1", "n2", "n3", "n1:1", "n1:3", "n2:1", "n2:4", *TYPES),
    *(example.json for model in MODELS.values() for example in model.examples),
    *([9, 0], [9, 9, 9, 0], ["bob", 0, 0], ["bob", 2**63 - 1, 2**63 - 1], [5, 2**63 - 1], []),
    *({"n1": 1}, {"n1": 2, "n2": 1}, {"spent": [9, 0]}, {"spent": [0, 0]}, {"n1:3": True}, {"n2:1": None}),
    *({"n1:1": [3, 0], "n1:3": [9, 0]}, {"n1:1": ["bob", 3, 2**63 - 1]}, {"n1:2": {"n1": 1}}),
    *(True, None),
]
"""Values that could stand in place of another value of the same JSON type."""

NONSENSE = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, 1, -1, 7, 2**50, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.5, 1.0, 1e300),
            *("", "n1", "n1:1", "n1:0", "n1:01", "n1:-1", "n1:99999999999999999999", ":1", "n1:1 ", "orset", "null"),
            *("9223372036854775808", "1" * 41, "-1", "é", "\0", "x" * 200),
            *([], [[]], [1, 0], [1, 0, 0, 0], [0, 1], [1, 0, 2, 0], ["v", 1, 0], ["v", 2**63 - 1, 2**63 - 1]),
            *({}, {"b64": "!"}, {"b64": "/w=="}, {"b64": 1}, {"spent": [1, 0]}, {"spent": [10**18, 10**18]}),
            *({"spent": [1]}, {"n1": 1}, {"n1": 0}, {"n1:1": True}, {"n1:1": None}, {"n9:1": {"n9": 0}}),
        ]
    ),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=6,
    ),
)


def places(value: Any) -> list[list[Any]]:
    """Return the paths to everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [[]] + [[step, *rest] for step, child in inner for rest in places(child)]


@st.composite
def mangled(draw: st.DrawFn, value: dict[str, Any]) -> Any:
    """Draw `value` with a few places swapped for something alike, replaced, dropped, renamed or doubled."""
    holder = [copy.deepcopy(value)]
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        path = [0, *draw(st.sampled_from(places(holder[0])))]
        parent: Any = holder
        for step in path[:-1]:
            parent = parent[step]
        alike = [other for other in SPARE if type(other) is type(parent[path[-1]])]
        action = draw(st.sampled_from(["swap", "swap", "swap", "replace", "drop", "rename", "double"]))
        other = copy.deepcopy(draw(st.sampled_from(alike) if action == "swap" and alike else NONSENSE))
        match action:
            case "drop" if len(path) > 1:
                del parent[path[-1]]
            case "rename" if isinstance(parent, dict) and isinstance(other, str):
                parent[other] = parent.pop(path[-1])
            case "double" if isinstance(parent, list) and len(path) > 1:
                parent.append(copy.deepcopy(parent[path[-1]]))
            case _:
                parent[path[-1]] = other
    return holder[0]


def survives(replica: Replica, operations: list[Operation]) -> None:
    """Fail unless `replica`, which has taken something in, can still be read, persisted, written to and sent on."""
    values(replica)
    replica.take_changes()
    assert decode_patch(encode_patch(replica.patch(None, NOW))).clock == replica.clock
    for operation in operations:
        with suppress(CallerError):
            perform(replica, operation)
    delta = replica.commit(NOW)
    if delta is not None:
        assert decode_delta(encode_delta(delta)) == delta
        replica.take_changes()
    assert decode_patch(encode_patch(replica.patch(None, NOW))).clock == replica.clock
    assert replica.digest == digest_from_scratch(replica)
    replica.stabilise(replica.clock, 100)
    replica.take_changes()


def operations_on(value: dict[str, Any], types: list[str]) -> st.SearchStrategy[list[Operation]]:
    """Draw a few operations on the keys of a delta or a patch."""
    return st.lists(operations(types, keys_of(value)), max_size=5)


def changed(value: dict[str, Any], **fields: Any) -> bytes:
    """Return the JSON of `value` with other `fields`."""
    return orjson.dumps({**value, **fields})
