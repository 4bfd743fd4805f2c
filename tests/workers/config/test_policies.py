"""The fleet file's policies, as the types that new keys get."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.errors import SettingsError
from crdt_core.types import MVREGISTER, ORSET, RWSET, STRING
from workers.config.loading import checked
from workers.config.policies import policies_of

NODES: dict[str, Any] = {"nodes": {"n1": {"grpc": "127.0.0.1:7101", "redis": "redis://127.0.0.1:7000/0"}}}


def test_policies_are_read_by_prefix() -> None:
    policies = policies_of(
        checked(
            {
                **NODES,
                "policies": {
                    "": {"strings": "multi-value"},
                    "ban:": {"sets": "remove-wins", "strings": "last-writer-wins"},
                    "ban:é:": {"sets": "add-wins"},
                },
            }
        )
    )
    assert policies is not None
    assert [policies.find("set", key) for key in (b"ban:1", "ban:é:1".encode(), b"other")] == [RWSET, ORSET, None]
    assert [policies.find("string", key) for key in (b"ban:1", "ban:é:1".encode(), b"other")] == [
        STRING,
        STRING,
        MVREGISTER,
    ]


def test_without_policies_nothing_is_looked_up() -> None:
    assert policies_of(checked(NODES)) is None
    assert policies_of(checked({**NODES, "policies": {}})) is None


@pytest.mark.parametrize(
    ("policies", "error"),
    [
        (
            {"c:": {"sets": "remove-win"}},
            "policies.c:.sets: 'remove-win' cannot be used: Input should be 'add-wins' or",
        ),
        (
            {"c:": {"strings": "lww"}},
            "policies.c:.strings: 'lww' cannot be used: Input should be 'last-writer-wins' or",
        ),
        ({"c:": {"maps": "remove-wins"}}, "policies.c:.maps: unknown (value 'remove-wins')"),
        ({"c:": {}}, "policies: 'c:' sets nothing: it needs sets or strings"),
        ({"c:": "remove-wins"}, "policies.c:: 'remove-wins' cannot be used"),
        ({"deltaic:x": {"sets": "remove-wins"}}, "policies: keys that begin with 'deltaic:' are reserved"),
        ("remove-wins", "policies: 'remove-wins' cannot be used"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_name(policies: Any, error: str) -> None:
    with pytest.raises(SettingsError) as refused:
        checked({**NODES, "policies": policies})
    assert error in str(refused.value)
