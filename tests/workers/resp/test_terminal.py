"""redis-cli in a terminal: hints, help, and figures that change."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import program, wait_until
from tests.workers.resp.programs import redis_cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from tests.fleet import Fleet

    Client = Callable[..., Redis]


@pytest.fixture
def terminal(fleet: Fleet, tmp_path) -> Iterator[Callable[..., str]]:
    """`terminal("GET a")` types a line into an interactive redis-cli; `terminal()`: what the screen shows."""
    tmux = [program("tmux", "tmux"), "-S", str(tmp_path / "tmux")]
    cli = [program("redis-cli", "redis-tools"), "-p", str(fleet["n1"].resp_port)]
    subprocess.run([*tmux, "new-session", "-d", "-x", "160", "-y", "50", *cli], check=True)

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
    assert "Concurrent: An add wins over a concurrent remove." in terminal()
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
    cli = [program("redis-cli", "redis-tools"), "-p", str(fleet["n1"].resp_port), "--stat", "-i", "0.1"]
    with subprocess.Popen(["stdbuf", "-oL", *cli], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(4)]
        running.terminate()
    assert "requests" in lines[1]
    assert all(line.split()[0].isdigit() for line in lines[2:]), lines
