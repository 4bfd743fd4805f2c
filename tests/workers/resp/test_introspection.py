"""What a worker tells clients of itself, of themselves, and of its commands."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

from crdt_core.commands import COMMANDS
from crdt_core.commands.table import UNSUPPORTED
from tests.support import wait_until
from tests.workers.resp.programs import path_of, redis_cli
from tests.workers.resp.raw import Raw
from workers.resp.documentation import documentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from tests.fleet import Fleet

    Client = Callable[..., Redis]


# Commands


@pytest.fixture
def raw(fleet: Fleet) -> Iterator[Raw]:
    """A connection that makes nothing of what it is told: redis-py takes all of COMMAND for COMMAND INFO."""
    with Raw(fleet["n1"].resp_port) as connection:
        yield connection


def test_every_command_is_documented_with_as_many_arguments_as_it_takes(raw: Raw) -> None:
    listed = {name.upper() for name in raw.call(b"COMMAND", b"LIST")}
    raw.call(b"HELLO", b"3")
    documented = raw.call(b"COMMAND", b"DOCS")
    assert COMMANDS.keys() <= listed
    assert {name.upper() for name in documented} == listed
    for name, said in documented.items():
        assert said[b"summary"], name
    for command in COMMANDS.values():
        said = documented[command.name.lower()]
        needed = sum(_words(argument) for argument in said[b"arguments"]) if b"arguments" in said else 0
        assert needed == abs(command.arity) - 1, command.name


def _words(argument: dict[bytes, object]) -> int:
    """How many words an argument takes at least."""
    flags, inner = argument.get(b"flags", ()), argument.get(b"arguments")
    if b"optional" in flags:
        return 0
    return sum(map(_words, inner)) if inner else 1 + (b"token" in argument and argument[b"type"] != b"pure-token")


def test_the_tables_of_documentation_say_how_arguments_nest() -> None:
    shown = dict(documentation(b"UNSUBSCRIBE").items)
    (argument,) = shown[b"arguments"]
    assert {flag.text for flag in dict(argument.items)[b"flags"].items} == {"optional", "multiple"}


def test_a_command_that_is_missing_says_so_by_its_name(raw: Raw) -> None:
    missing = UNSUPPORTED - {name.upper() for name in raw.call(b"COMMAND", b"LIST")}
    assert {b"ZADD", b"LPUSH", b"MONITOR", b"OBJECT", b"DEBUG", b"MEMORY", b"EVAL", b"BGSAVE"} <= missing
    for name in missing:
        said = f"ERR unsupported command '{name.decode()}': Deltaic does not have it"
        assert str(raw.call(name, b"a", b"b", b"c")) == said
        assert raw.call(b"COMMAND", b"INFO", name) == [None]


@pytest.mark.parametrize("family", ["ACL", "CLIENT", "COMMAND", "CONFIG", "LATENCY", "MODULE", "PUBSUB", "SLOWLOG"])
def test_families_help_and_say_what_is_wrong(raw: Raw, family: str) -> None:
    help_ = raw.call(family.encode(), b"HELP")
    assert help_[0].startswith(family.encode())
    assert help_[-2:] == [b"HELP", b"    Print this help."]
    assert str(raw.call(family.encode(), b"nonsense")) == f"ERR unknown subcommand 'nonsense'. Try {family} HELP."


@pytest.mark.parametrize("line", ["CLIENT SETNAME", "CLIENT ID 5", "CONFIG GET", "SLOWLOG LEN 1", "ACL WHOAMI me"])
def test_members_of_families_take_so_many_arguments(client: Client, line: str) -> None:
    family, name, *arguments = line.split()
    with pytest.raises(ResponseError, match=rf"wrong number of arguments for '{family}\|{name}' command".lower()):
        client().execute_command(family, name, *arguments)


@pytest.mark.parametrize("line", ["CLIENT PAUSE 100", "CLIENT TRACKING on", "ACL SETUSER a", "LATENCY DOCTOR"])
def test_members_of_families_that_are_missing_say_so_by_name(client: Client, line: str) -> None:
    name = " ".join(line.split()[:2])
    with pytest.raises(ResponseError, match=f"unsupported command '{name}'"):
        client().execute_command(*line.split())


@pytest.mark.parametrize("line", ["CLUSTER INFO", "CLUSTER SLOTS", "READONLY", "READWRITE", "ASKING"])
def test_it_is_no_cluster_of_shards(client: Client, line: str) -> None:
    with pytest.raises(ResponseError, match="cluster support disabled"):
        client().execute_command(*line.split())


def test_which_keys_a_request_names(raw: Raw) -> None:
    assert raw.call(b"COMMAND", b"GETKEYS", b"MSET", b"a", b"1", b"b", b"2") == [b"a", b"b"]


def test_commands_are_listed_by_pattern_and_counted(raw: Raw) -> None:
    found = raw.call(b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"*incr*")
    assert set(found) == {b"incr", b"incrby", b"incrbyfloat", b"hincrby", b"hincrbyfloat"}
    assert raw.call(b"COMMAND", b"COUNT") == len(raw.call(b"COMMAND"))


# Settings


def test_settings_that_clients_ask_for(client: Client) -> None:
    n1 = client()
    assert n1.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}
    assert n1.config_get("maxmem*") == {"maxmemory": "0", "maxmemory-policy": "noeviction"}
    assert n1.config_get("no-such-setting") == {}
    assert n1.config_resetstat()


def test_a_setting_may_be_set_to_what_it_is(client: Client) -> None:
    """So clients that make sure of what they need (Spring: notifications) go on."""
    n1 = client()
    assert n1.config_set("save", "")
    assert n1.config_set("notify-keyspace-events", "gxE")
    assert n1.config_set("appendonly", "no", "maxmemory", "0")
    for name, value in (("maxmemory", "100"), ("notify-keyspace-events", ""), ("notify-keyspace-events", "KEm")):
        with pytest.raises(ResponseError, match=f"argument '{name}'.*settings stand in the fleet file"):
            n1.config_set(name, value)
    with pytest.raises(ResponseError, match="Unknown option or number of arguments for CONFIG SET - 'nonsense'"):
        n1.config_set("nonsense", "1")


def test_info_tells_of_keys_that_expire(client: Client, key: str) -> None:
    n1 = client()
    before = n1.info("keyspace").get("db0", {"keys": 0, "expires": 0})
    n1.set(key, "v")
    n1.set(key + ":brief", "v", ex=100)
    after = n1.info("keyspace")["db0"]
    assert (after["keys"] - before["keys"], after["expires"] - before["expires"]) == (2, 1)
    n1.delete(key, key + ":brief")
    assert n1.info()["server_name"] == "deltaic"
    assert n1.info("deltaic")["node"] == "n1"


# Connections


def test_connections_are_listed_by_number_and_kind(fleet: Fleet, client: Client) -> None:
    n1 = client()
    with Raw(fleet["n1"].resp_port) as listener:
        number = listener.call(b"CLIENT", b"ID")
        listener.call(b"CLIENT", b"SETNAME", b"listener")
        listener.call(b"SUBSCRIBE", b"news")
        assert [found["name"] for found in n1.client_list(_type="pubsub")] == ["listener"]
        assert str(number) not in {found["id"] for found in n1.client_list(_type="normal")}
        assert [found["id"] for found in n1.client_list(client_id=[str(number)])] == [str(number)]
        with pytest.raises(ResponseError, match="Unknown client type 'nonsense'"):
            n1.execute_command("CLIENT", "LIST", "TYPE", "nonsense")
        with pytest.raises(ResponseError, match="Invalid client ID"):
            n1.execute_command("CLIENT", "LIST", "ID", "x")


def test_connections_are_ended_by_filters_and_not_one_that_asks_for_it(fleet: Fleet, client: Client) -> None:
    n1, port = client(), fleet["n1"].resp_port
    own = n1.client_id()
    with Raw(port) as listener, Raw(port) as other:
        listener.call(b"SUBSCRIBE", b"news")
        assert n1.client_kill_filter(_type="pubsub") == 1
        assert listener.is_closed()
        address = next(found["addr"] for found in n1.client_list() if found["id"] == str(other.call(b"CLIENT", b"ID")))
        assert n1.client_kill_filter(addr=address, skipme=True) == 1
        assert other.is_closed()
        assert n1.client_kill_filter(_id=str(own), skipme=True) == 0
        assert n1.client_id() == own
        with pytest.raises(ResponseError, match="No such client"):
            n1.client_kill("127.0.0.1:1")
        with pytest.raises(ResponseError, match="syntax error"):
            n1.execute_command("CLIENT", "KILL", "NONSENSE", "1")
    with Raw(port) as itself:
        number = b"%d" % itself.call(b"CLIENT", b"ID")
        assert itself.call(b"CLIENT", b"KILL", b"ID", number, b"SKIPME", b"no") == 1
        assert itself.is_closed()


# In a terminal


@pytest.fixture
def terminal(fleet: Fleet, tmp_path) -> Iterator[Callable[..., str]]:
    """`terminal("GET a")` types a line into an interactive redis-cli; `terminal()`: what the screen shows."""
    tmux = [path_of("tmux", "tmux"), "-S", str(tmp_path / "tmux")]
    program = [path_of("redis-cli"), "-p", str(fleet["n1"].resp_port)]
    subprocess.run([*tmux, "new-session", "-d", "-x", "160", "-y", "50", *program], check=True)

    def screen(line: str = "", *keys: str) -> str:
        if line:
            subprocess.run([*tmux, "send-keys", "-l", line], check=True)
        if keys:
            subprocess.run([*tmux, "send-keys", *keys], check=True)
        return subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout

    yield screen
    subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def test_redis_cli_in_a_terminal_hints_and_helps(terminal: Callable[..., str], key: str) -> None:
    wait_until(lambda: ">" in terminal(), what="the prompt")
    terminal("SET ")
    wait_until(lambda: "SET key value [NX|XX|IFEQ comparison-value] [GET]" in terminal(), what="the hint")
    terminal(f'"{key}" hello', "Enter")
    wait_until(lambda: "OK" in terminal(), what="the answer")
    terminal("HELP SADD", "Enter")
    wait_until(lambda: "SADD key member [member ...]" in terminal(), what="the help")
    assert "An add wins over a concurrent remove." in terminal()
    terminal("HELP @deltaic", "Enter")
    wait_until(lambda: "DELTAIC.SYNC [peer [peer ...]]" in terminal() or "DELTAIC.SYNC" in terminal(), what="the group")
    terminal("MULTI", "Enter")
    wait_until(lambda: "(TX)>" in terminal(), what="the transaction's prompt")
    terminal("DISCARD", "Enter")


def test_redis_cli_looks_through_the_keys(fleet: Fleet, client: Client, key: str) -> None:
    port, count = fleet["n1"].resp_port, 500
    client().mset({f"{key}:{number}": "v" * (number + 1) for number in range(count)})
    pattern = key.replace("[", "\\[") + ":*"
    assert len(redis_cli(port, "--scan", "--pattern", pattern).split()) == count
    assert f"with {count} bytes" in redis_cli(port, "--bigkeys")
    client().delete(*(f"{key}:{number}" for number in range(count)))


def test_redis_cli_shows_figures_as_they_change(fleet: Fleet) -> None:
    """It goes on until it is ended."""
    command = ["stdbuf", "-oL", path_of("redis-cli"), "-p", str(fleet["n1"].resp_port), "--stat", "-i", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(4)]
        program.terminate()
    assert "requests" in lines[1]
    assert all(line.split()[0].isdigit() for line in lines[2:]), lines
