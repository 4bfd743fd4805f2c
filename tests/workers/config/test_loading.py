"""Reading settings: the file, the environment over it, and errors that name the setting and never a password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import SettingsError
from workers.config.loading import PACKAGED_FILE, check_name, checked, checked_node, default_fleet_file, load_settings

if TYPE_CHECKING:
    from pathlib import Path

NODE = '[nodes.n1]\ngrpc = "127.0.0.1:7101"\nredis = "redis://127.0.0.1:7000/0"\n'
NODES: dict[str, Any] = {"nodes": {"n1": {"grpc": "127.0.0.1:7101", "redis": "redis://127.0.0.1:7000/0"}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_text(NODE)
    return file


def test_the_packaged_file_is_a_fleet_of_five() -> None:
    assert list(load_settings(PACKAGED_FILE).nodes) == ["n1", "n2", "n3", "n4", "n5"]


def test_the_file_is_the_one_of_the_environment_else_the_one_here_else_the_packaged_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DELTAIC_FILE", raising=False)
    assert default_fleet_file() == PACKAGED_FILE
    (tmp_path / "deltaic.toml").write_text(NODE)
    assert default_fleet_file().absolute() == tmp_path / "deltaic.toml"
    monkeypatch.setenv("DELTAIC_FILE", str(path))
    assert default_fleet_file() == path
    assert list(load_settings().nodes) == ["n1"]


def test_the_environment_overrides_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(NODE + "[gossip]\nfanout = 3\ninterval_s = 7\n")
    monkeypatch.setenv("DELTAIC_GOSSIP__FANOUT", "4")
    monkeypatch.setenv("DELTAIC_NODES__N1__REDIS", "redis://10.0.0.1:6379/0")
    settings = load_settings(path)
    assert (settings.gossip.fanout, settings.gossip.interval_s) == (4, 7)
    assert (settings.nodes["n1"].redis, settings.nodes["n1"].grpc) == ("redis://10.0.0.1:6379/0", "127.0.0.1:7101")


def test_policies_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_POLICIES", '{"ban:":{"sets":"remove-wins"}}')
    assert checked(NODES).policies["ban:"].sets == "remove-wins"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("nodes = [", "is not valid TOML"),
        ("a = " + "[" * 10_000, "is not valid TOML"),
        ('[nodes.n1]\ngrpc = "127.0.0.1:7101"\n', "nodes.n1.redis: is missing"),
        (NODE + "[gosip]\nfanout = 1\n", "'gosip': no such section; there are nodes, gossip, "),
        (NODE + "[gossip]\nfanout = 0\n", "gossip.fanout: 0 cannot be used"),
        (NODE + "[gossip]\nfan_out = 1\n", "gossip.fan_out: unknown (value 1)"),
        (NODE.replace("7101", "71010"), "nodes.n1.grpc: '127.0.0.1:71010' cannot be used: must be host:port"),
        (NODE.replace("n1", "N1"), "nodes: node name 'N1' must match"),
        ("", "nodes: is missing"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(path: Path, content: str, error: str) -> None:
    path.write_text(content)
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    assert error in str(refused.value)


@pytest.mark.parametrize(
    ("content", "near"),
    [
        (NODE + "[gossip]\nfan_out = 1\n", "did you mean fanout?"),
        (NODE + "[gosip]\nfanout = 1\n", "did you mean gossip?"),
        (NODE + 'grcp = "127.0.0.1:7101"\n', "did you mean grpc?"),
        (NODE + '[policies."a:"]\nset = "add-wins"\n', "did you mean sets?"),
        (NODE + "[limits]\nbytes_max = 1\n", "did you mean "),
    ],
)
def test_an_unknown_setting_lists_near_names(path: Path, content: str, near: str) -> None:
    path.write_text(content)
    with pytest.raises(SettingsError, match=re.escape(near)):
        load_settings(path)


def test_an_unknown_setting_that_is_near_to_none_lists_none(path: Path) -> None:
    path.write_text(NODE + "[gossip]\nxyz = 1\n")
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    assert str(refused.value) == "setting gossip.xyz: unknown (value 1)"


def test_an_unknown_variable_lists_near_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_GOSIP__FANOUT", "1")
    with pytest.raises(SettingsError, match=r"did you mean gossip\?"):
        load_settings(path)
    monkeypatch.delenv("DELTAIC_GOSIP__FANOUT")
    monkeypatch.setenv("DELTAIC_GOSSIP__FAN_OUT", "1")
    with pytest.raises(SettingsError, match=r"gossip\.fan_out: unknown .*; did you mean fanout\?"):
        load_settings(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file or directory"):
        load_settings(tmp_path / "missing.toml")


def test_an_unknown_variable_is_refused_by_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAIC_GOSIP__FANOUT", "1")
    with pytest.raises(SettingsError, match="DELTAIC_GOSIP__FANOUT: no such setting"):
        load_settings(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (NODE.replace("redis://", "redis://:s3cret@").replace(":7000/0", ":port"), "nodes.n1.redis: "),
        (NODE.replace("redis://127.0.0.1:7000/0", "s3cret"), "nodes.n1.redis: "),
        (NODE.replace("127.0.0.1:7101", "redis://:s3cret@h"), "nodes.n1.grpc: "),
        (NODE.replace('redis = "redis://', 'redis_url = "redis://:s3cret@'), "nodes.n1.redis: is missing"),
        (NODE + 'password = "s3cret"\n', "nodes.n1.password: unknown"),
        ('[nodes]\nn1 = "redis://:s3cret@h"', "nodes.n1: "),
        (
            NODE + '[security]\npassword = "s3cret two words"\n',
            "security.password: must be printable ASCII without spaces",
        ),
        (NODE + '[security]\npassword = "s3crét"\n', "security.password: must be printable ASCII"),
        (NODE + '[security]\npassword = ""\n', "security.password: must be printable ASCII"),
        (NODE + "[security]\npassword = 53\n", "security.password: Input should be a valid string"),
        (
            NODE + '[security]\npassword = "s3cret"\npassword_file = "file"\n',
            "security: password and password_file cannot both be set",
        ),
        (NODE + '[security]\npasword = "s3cret"\n', "security.pasword: unknown"),
        (NODE + '[security.deeper]\nword = "s3cret"\n', "security.deeper: unknown"),
        (NODE + '[securty]\npassword = "s3cret"\n', "'securty': no such section"),
        (f'security = "s3cret"\n{NODE}', "security: "),
        (
            NODE + '[security]\ngrpc_certificate = "/s3cret.pem"\n',
            "security: grpc_certificate and grpc_key need each other",
        ),
        (
            NODE + '[security]\nresp_certificate = "/s3cret.pem"\n',
            "security: resp_certificate and resp_key need each other",
        ),
        (
            NODE + '[security]\nresp_ca = "/s3cret.pem"\n',
            "security: resp_ca needs resp_certificate and resp_key beside it",
        ),
        (NODE + '[gossip]\nfanout = {password = "s3cret"}\n', "gossip.fanout: "),
    ],
)
def test_no_error_shows_a_password(path: Path, content: str, said: str) -> None:
    path.write_text(content)
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    assert said in str(refused.value)
    assert "s3cr" not in str(refused.value)
    assert "53" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_node_that_is_added_is_checked_like_one_of_the_file() -> None:
    assert checked_node("n6", grpc="n6:7101", redis="redis://n6").bind_address == "n6:7101"
    for name in ("", "N6", "6n", "n" * 64, "n 6"):
        with pytest.raises(SettingsError, match="a node's name must match"):
            check_name(name)
    with pytest.raises(SettingsError, match=r"nodes\.n6\.grpc: 'n6' cannot be used: must be host:port"):
        checked_node("n6", grpc="n6", redis="redis://n6")
    with pytest.raises(SettingsError, match=r"nodes\.n6\.redis: is missing"):
        checked_node("n6", grpc="n6:7101")
