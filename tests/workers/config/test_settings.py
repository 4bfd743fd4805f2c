"""Settings that decide what commands make: what is read, and what is refused, by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from crdt_core.errors import SettingsError
from crdt_core.types import MVREGISTER, ORSET, RWSET, STRING
from workers.cli.app import root
from workers.config.policies import policies_of
from workers.config.settings import checked

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
        ({"c:": {}}, "policies: 'c:' says nothing, of sets or strings"),
        ({"c:": "remove-wins"}, "policies.c:: 'remove-wins' cannot be used"),
        ({"deltaic:x": {"sets": "remove-wins"}}, "policies: keys that begin with 'deltaic:' are reserved"),
        ("remove-wins", "policies: 'remove-wins' cannot be used"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_name(policies: Any, error: str) -> None:
    with pytest.raises(SettingsError) as refused:
        checked({**NODES, "policies": policies})
    assert error in str(refused.value)


def test_the_environment_may_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_POLICIES", '{"ban:":{"sets":"remove-wins"}}')
    policies = policies_of(checked(NODES))
    assert policies is not None
    assert policies.find("set", b"ban:1") is RWSET


def test_policies_are_printed_with_the_other_settings(tmp_path: Any) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(
        '[nodes.n1]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n'
        '[policies."ban:"]\nsets = "remove-wins"\n'
    )
    printed = json.loads(CliRunner().invoke(root, ["-f", str(path), "settings", "--json"]).output)
    by_name = {setting["name"]: setting for setting in printed}
    assert by_name["policies.ban:.sets"]["value"] == "remove-wins"
    assert "policies.ban:.sets" in CliRunner().invoke(root, ["-f", str(path), "settings"]).output
