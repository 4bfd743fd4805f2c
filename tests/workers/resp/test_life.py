"""The face comes and goes with its worker: fenced, stopped, killed, without a Redis, with a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.fleet import Fleet
from tests.support import wait_until
from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair(tmp_path) -> Iterator[Fleet]:
    """Two nodes, each with a Valkey of its own, which may be frozen and killed."""
    limits = {"write_timeout_ms": 1000, "commit_timeout_ms": 500}
    with Fleet(tmp_path, nodes=2, valkey_each=True, limits=limits) as fleet:
        yield fleet


def test_a_fenced_worker_closes_its_connections(pair: Fleet) -> None:
    """Whoever was connected must not go on reading what it last knew."""
    with Raw(pair["n1"].resp_port) as idle, Raw(pair["n1"].resp_port) as listener:
        assert idle.call(b"SET", b"a", b"1") == b"OK"
        listener.call(b"SUBSCRIBE", b"news")
        other = pair.elsewhere("n1").start("--takeover").wait_until_serving()
        assert idle.is_closed()
        assert listener.is_closed()
        assert pair["n1"].exit_code() == 5
        with Raw(other.resp_port) as moved:
            assert moved.call(b"GET", b"a") == b"1"


def test_what_was_acknowledged_outlives_a_kill(pair: Fleet) -> None:
    with Raw(pair["n1"].resp_port) as raw:
        raw.send(packed(b"INCR", b"hits") * 1000)
        acknowledged = raw.replies(500)[-1]
        pair["n1"].kill()
    pair["n1"].start().wait_until_serving()
    with Raw(pair["n1"].resp_port) as raw:
        assert int(raw.call(b"GET", b"hits")) >= acknowledged


def test_a_worker_that_is_stopped_answers_what_it_has_begun(pair: Fleet) -> None:
    with Raw(pair["n1"].resp_port) as raw:
        raw.send(packed(b"INCR", b"hits"))
        assert raw.reply() == 1
        assert pair["n1"].stop() == 0
        assert raw.is_closed()


def test_while_redis_is_away_reads_go_on_and_writes_say_why(pair: Fleet) -> None:
    with Raw(pair["n1"].resp_port) as raw, Raw(pair["n1"].resp_port) as reader:
        assert raw.call(b"SET", b"a", b"1") == b"OK"
        pair.valkeys["n1"].suspend()
        raw.send(packed(b"SET", b"a", b"2") + packed(b"GET", b"a"))
        assert reader.call(b"GET", b"a") == b"1"
        first, second = raw.replies(2)
        assert str(first).startswith("ERR no confirmation from Redis within 1 s")
        assert str(first).endswith("it may still take effect")
        assert str(second).startswith("ERR ")
        wait_until(
            lambda: str(raw.call(b"SET", b"b", b"1")).startswith("TRYAGAIN "), what="refusals that say to try again"
        )
        assert str(raw.call(b"SET", b"b", b"1")).endswith("nothing was changed")
        assert reader.call(b"GET", b"a") == b"1"
        pair.valkeys["n1"].resume()
        wait_until(lambda: raw.call(b"SET", b"b", b"2") == b"OK", 20, "writes to succeed again")
        assert raw.call(b"GET", b"a") == b"2"


def test_expired_keys_are_taken_away(pair: Fleet) -> None:
    with Redis(port=pair["n1"].resp_port) as n1, Redis(port=pair["n2"].resp_port) as n2:
        n1.set("brief", "v", px=300)
        n1.set("lasting", "v")
        wait_until(lambda: n2.get("brief") == b"v" or n2.get("lasting") == b"v", what="the write to arrive")
        wait_until(lambda: n1.get("brief") is None and n2.get("brief") is None, what="it to expire")
        for name, node in pair.nodes.items():
            state = pair.redis(name), node.keys.state
            wait_until(lambda at=state: b'"v"' not in (at[0].hget(at[1], "brief") or b""), 30, "it to be taken away")
            assert b'"v"' in state[0].hget(state[1], "lasting")
        assert n1.get("lasting") == b"v"


def test_a_client_that_is_killed_is_gone(pair: Fleet) -> None:
    with Redis(port=pair["n1"].resp_port) as n1, Raw(pair["n1"].resp_port) as victim:
        number = victim.call(b"CLIENT", b"ID")
        victim.call(b"CLIENT", b"SETNAME", b"victim")
        assert "victim" in {client["name"] for client in n1.client_list()}
        assert n1.client_kill_filter(_id=number) == 1
        assert victim.is_closed()
        wait_until(lambda: "victim" not in {client["name"] for client in n1.client_list()}, what="it to be gone")
        with pytest.raises(RedisError):
            n1.execute_command("CLIENT", "NONSENSE")


def test_with_a_password_nobody_else_gets_in(tmp_path) -> None:
    settings = '[security]\npassword = "sesame"\n'
    with Fleet(tmp_path, nodes=1, settings=settings) as fleet:
        port = fleet["n1"].resp_port
        with Raw(port) as raw:
            assert str(raw.call(b"GET", b"a")) == "NOAUTH Authentication required."
            assert str(raw.call(b"HELLO", b"3")).startswith("NOAUTH HELLO must be called")
            assert str(raw.call(b"AUTH", b"wrong")).startswith("WRONGPASS")
            assert str(raw.call(b"AUTH", b"other", b"sesame")).startswith("WRONGPASS")
            assert raw.call(b"AUTH", b"sesame") == b"OK"
            assert raw.call(b"SET", b"a", b"x" * 100_000) == b"OK"
            assert raw.call(b"RESET") == b"RESET"
            assert str(raw.call(b"GET", b"a")) == "NOAUTH Authentication required."
        with Raw(port) as stranger:
            stranger.send(b"*2\r\n$4\r\nAUTH\r\n$100000\r\n")
            assert str(stranger.reply()) == "ERR Protocol error: unauthenticated bulk length"
            assert stranger.is_closed()
        with Redis(port=port, password="sesame", protocol=3) as client:  # noqa: S106
            assert client.get("a") == b"x" * 100_000
