"""`deltaic acl`: what it prints, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from crdt_core.errors import SettingsError, UnknownNode
from tests.workers.cli.invoking import invoke
from tests.workers.fleet_files import local_fleet_file
from workers.wire.access import Role, acl_file, set_user_commands, user_name

PASSWORDS = {role: f"{role}-s3cret" for role in Role}


def passwords_file(directory: Path, content: str | None = None) -> Path:
    file = directory / "passwords.toml"
    file.write_text(content or "".join(f'{role} = "{password}"\n' for role, password in PASSWORDS.items()), "utf-8")
    return file


def test_it_prints_commands_for_redis_cli(tmp_path: Path) -> None:
    path = local_fleet_file(tmp_path)
    assert invoke(path, "acl", "n1").output.splitlines() == set_user_commands(["n1"])
    assert invoke(path, "acl", "n1", "n2").output.splitlines() == set_user_commands(["n1", "n2"])


def test_with_passwords_it_prints_an_acl_file_without_them(tmp_path: Path) -> None:
    printed = invoke(local_fleet_file(tmp_path), "acl", "n1", "--passwords", str(passwords_file(tmp_path))).output
    assert printed.splitlines() == acl_file(["n1"], PASSWORDS)
    assert "s3cret" not in printed


def test_a_node_that_the_fleet_file_does_not_name_is_refused(tmp_path: Path) -> None:
    assert isinstance(invoke(local_fleet_file(tmp_path), "acl", "n9").exception, UnknownNode)


@pytest.mark.parametrize(
    "content",
    ["owner = 's3cret'", "no toml s3cret", "owner = 's3cret'\npeer = ''\njobs = 'a'\ninspector = 'b'", "a = 's3cret'"],
)
def test_a_file_without_every_password_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = passwords_file(tmp_path, content)
    refused = invoke(local_fleet_file(tmp_path), "acl", "n1", "--passwords", str(file)).exception
    assert isinstance(refused, SettingsError)
    assert "s3cret" not in str(refused)
    assert isinstance(
        invoke(local_fleet_file(tmp_path), "acl", "n1", "--passwords", str(tmp_path / "none")).exception, SettingsError
    )


@pytest.mark.parametrize("node", ["n1", "n2", "n3"])
def test_the_deployment_has_the_users_that_it_prints(node: str) -> None:
    docker = Path(__file__).parents[3] / "docker"
    users = docker / "users"
    printed = invoke(docker / "deltaic.compose.toml", "acl", node, "--passwords", str(users / f"{node}.toml")).output
    assert printed == (users / f"{node}.acl").read_text("utf-8")
    compose = (docker.parent / "docker-compose.yml").read_text("utf-8")
    for role in (Role.OWNER, Role.JOBS):
        assert f"redis://{user_name(role)}:{role}-of-{node}@redis:6379/0" in compose
