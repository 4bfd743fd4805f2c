"""`deltaic settings` prints every setting, and no password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import SettingsError
from tests.workers.cli.invoking import invoke, invoke_json
from workers.config.loading import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(
        '[nodes.n1]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n'
        'jobs = "redis://:secret@10.0.0.2:6379/0"\n'
        '[policies."ban:"]\nsets = "remove-wins"\n'
        '[security]\npassword = "secret"\n'
    )
    return path


def test_every_setting_has_its_value_its_default_its_variable_and_its_meaning(file: Path) -> None:
    found = {setting["name"]: setting for setting in invoke_json(file, "settings")}
    assert found["gossip.fanout"] == {
        "name": "gossip.fanout",
        "value": load_settings(file).gossip.fanout,
        "default": load_settings(file).gossip.fanout,
        "required": False,
        "description": found["gossip.fanout"]["description"],
        "variable": "DELTAIC_GOSSIP__FANOUT",
    }
    assert found["nodes.n1.grpc"]["required"]
    assert found["policies.ban:.sets"]["value"] == "remove-wins"
    assert all(setting["description"] for setting in found.values())


def test_no_password_is_printed(file: Path) -> None:
    found = {setting["name"]: setting for setting in invoke_json(file, "settings")}
    assert found["nodes.n1.jobs"]["value"] == "redis://:***@10.0.0.2:6379/0"
    for arguments in (["settings"], ["settings", "--json"]):
        assert "secret" not in invoke(file, *arguments).output


def test_people_see_what_the_environment_overrides(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_GOSSIP__FANOUT", "7")
    shown = invoke(file, "settings", columns=160).output
    (row,) = [line for line in shown.splitlines() if line.strip().startswith("gossip.fanout ")]
    assert row.split()[:3] == ["gossip.fanout", "7", "2"]
    assert "policies.ban:.sets" in shown
    assert "To override one: DELTAIC_NODES__N1__GRPC=127.0.0.1:7101" in shown


@pytest.mark.parametrize("columns", [50, 80])
def test_a_narrow_terminal_gets_a_list_whose_words_are_whole(file: Path, columns: int) -> None:
    """The table had meanings of one word a line at 80 columns, and of two letters at 50."""
    lines = invoke(file, "settings", columns=columns).output.splitlines()
    assert max(map(len, lines)) <= columns
    assert "gossip.fanout = 2" in [line.strip() for line in lines]
    assert "random peers that a round exchanges with" in " ".join(line.strip() for line in lines)
    assert len([line for line in lines if "…" in line]) == 0
    assert "n1  grpc 127.0.0.1:7101" in "\n".join(lines)


def test_two_nodes_at_one_address_are_refused(file: Path) -> None:
    """Only `deltaic fleet` refused it; every other command took it."""
    file.write_text(file.read_text() + '[nodes.n2]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n')
    refused = invoke(file, "settings").exception
    assert isinstance(refused, SettingsError)
    assert str(refused) == "setting nodes.n2.grpc: 127.0.0.1:7101 is also the address of n1"
