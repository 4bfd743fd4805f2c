"""The environment over the content of a file: section by section, in any case, and only where a variable says so."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from crdt_core.errors import SettingsError
from workers.config.environment import overridden
from workers.config.settings import FleetSettings

CONTENT: dict[str, Any] = {
    "nodes": {"n1": {"grpc": "h:1", "redis": "redis://h"}},
    "gossip": {"fanout": 3, "interval_s": 7},
}


def test_a_variable_changes_one_setting_and_leaves_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_GOSSIP__FANOUT", "4")
    monkeypatch.setenv("DELTAIC_NODES__N1__RESP", "h:2")
    monkeypatch.setenv("DELTAIC_LIMITS__DATABASES", "16")
    assert overridden(CONTENT, FleetSettings) == {
        "nodes": {"n1": {"grpc": "h:1", "redis": "redis://h", "resp": "h:2"}},
        "gossip": {"fanout": "4", "interval_s": 7},
        "limits": {"databases": "16"},
    }
    assert CONTENT["gossip"]["fanout"] == 3


def test_a_variable_may_be_in_lower_case_and_hold_a_whole_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("deltaic_gossip", '{"fanout": 5}')
    assert overridden(CONTENT, FleetSettings)["gossip"] == {"fanout": 5, "interval_s": 7}


def test_a_value_takes_the_place_of_a_section_and_a_section_that_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_NODES", '{"n1": "none"}')
    monkeypatch.setenv("DELTAIC_GOSSIP__FANOUT", "2")
    found = overridden({**CONTENT, "gossip": "none"}, FleetSettings)
    assert (found["nodes"], found["gossip"]) == ({"n1": "none"}, {"fanout": "2"})


def test_a_variable_that_is_no_json_is_an_error_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_GOSSIP", "{")
    with pytest.raises(SettingsError, match="in the environment"):
        overridden(CONTENT, FleetSettings)


@pytest.mark.parametrize(
    ("variables", "imported"),
    [({}, False), ({"DELTAIC_FILE": "f", "DELTAIC_CRON_NODES": "n1"}, False), ({"DELTAIC_GOSSIP__FANOUT": "4"}, True)],
)
def test_the_sources_of_settings_are_imported_for_a_variable_only(variables: dict[str, str], imported: bool) -> None:
    program = """
import sys
from workers.config.loading import checked
checked({"nodes": {"n1": {"grpc": "h:1", "redis": "redis://h"}}})
print("pydantic_settings" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**environment, **variables}, check=True
    )
    assert ended.stdout.strip() == str(imported)
