"""Both clients while nodes die, freeze, part and come back: sessions, failover, and what is never repeated."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import RedisError

from deltaic import Client, ClientOptions, NodesBehind, NoNodeAnswers, OutcomeUnknown, Refused, Token
from tests.certificates import Authority
from tests.deltaic.real import PATIENT, SHORT, address, urls_of
from tests.fleet import Fleet
from tests.support import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FREEZING = ClientOptions(connect_timeout_s=10, reply_timeout_s=3, deadline_s=60, await_timeout_s=1, backoff_max_s=0.2)


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    limits = {"write_timeout_ms": 3000}
    with Fleet(tmp_path_factory.mktemp("client"), nodes=3, valkey_each=True, limits=limits) as fleet:
        yield fleet


@pytest.fixture
def trio(three_nodes: Fleet) -> Iterator[Fleet]:
    """Three nodes with a Valkey each; whatever a test has broken is mended."""
    yield three_nodes
    for node in three_nodes.nodes.values():
        if node.running:
            node.resume()
        else:
            node.start()
    for server in three_nodes.valkeys.values():
        server.resume()
    for node in three_nodes.nodes.values():
        node.wait_until_serving()
    three_nodes.heal()
    three_nodes.sync_all()
    three_nodes.agree()


# Failover ---------------------------------------------------------------------------------------------------------


def test_a_client_goes_on_at_the_next_node_and_comes_back(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio), PATIENT)
    assert client.counter(key).increment() == 1
    assert client.node == address(trio, "n1")
    trio.agree()
    trio["n1"].kill()
    assert client.counter(key).increment() == 2
    assert client.node == address(trio, "n2")
    trio["n1"].start().wait_until_serving()
    wait_until(lambda: reads_at(client, key) == address(trio, "n1"), what="the client to come back")


def reads_at(client: Any, key: str) -> str:
    """Where the client reads now."""
    client.read("GET", key)
    return client.node


def test_a_connection_that_was_closed_meanwhile_costs_no_write(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio, "n1"), PATIENT)
    assert client.counter(key).increment() == 1
    trio["n1"].kill()
    trio["n1"].start().wait_until_serving()
    assert client.counter(key).increment() == 2


def test_a_node_that_is_down_for_a_moment_is_waited_for(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio, "n1"), PATIENT)
    client.counter(key).increment()
    trio["n1"].kill()
    trio["n1"].start()
    assert client.counter(key).increment() == 2


def test_where_nobody_answers_the_error_says_why(connect) -> None:
    client = connect([f"redis://127.0.0.1:{free_port()}" for _ in range(2)], SHORT)
    with pytest.raises(
        NoNodeAnswers, match=r"no node took INCRBY hits; 127\.0\.0\.1:\d+: connection refused; 127.*refused"
    ):
        client.counter("hits").increment()


# Sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_reads_its_own_writes_at_the_next_node(trio: Fleet, connect, key: str) -> None:
    """The node ends as soon as it has acknowledged; the client may ask the others before they hear of the write."""
    client = connect(urls_of(trio), PATIENT)
    for number in range(5):
        name = f"n{number % 2 + 1}"
        client.set(key).add(str(number))
        trio[name].stop()
        assert client.set(key).members() == {str(seen) for seen in range(number + 1)}
        trio[name].start().wait_until_serving()
        trio.agree()


def test_what_only_a_dead_node_has_is_waited_for_and_nothing_older_is_read(trio: Fleet, connect, key: str) -> None:
    client, others = connect(urls_of(trio), SHORT), connect(urls_of(trio, "n2"), PATIENT)
    client.set(key).add("apple")
    trio.agree()
    trio.cut_by_redis(["n1"], ["n2", "n3"])
    client.set(key).add("pear")
    trio["n1"].kill()
    with pytest.raises(NodesBehind, match="lacks 1 of the commits"):
        client.set(key).members()
    with pytest.raises(NodesBehind):
        client.set(key).remove("apple")  # a remove by one who has not seen everything would remove less
    assert others.set(key).members() == {"apple"}
    trio["n1"].start().wait_until_serving()
    assert wait_until(lambda: members(client, key), what="n1 to answer") == {"apple", "pear"}


def members(client: Any, key: str) -> set[str]:
    try:
        return client.set(key).members()
    except (NodesBehind, NoNodeAnswers) as error:
        raise AssertionError from error


def test_a_session_may_go_on_without_what_is_lost(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio), SHORT)
    trio.cut_by_redis(["n1"], ["n2", "n3"])
    client.set(key).add("pear")
    trio["n1"].kill()
    with pytest.raises(NodesBehind):
        client.set(key).members()
    client.forget()
    assert client.set(key).members() == set()


def test_a_token_takes_another_client_to_where_this_one_is(trio: Fleet, connect, key: str) -> None:
    one, other = connect(urls_of(trio, "n1"), PATIENT), connect(urls_of(trio, "n2"), SHORT)
    trio.cut_by_redis(["n1"], ["n2", "n3"])
    one.register(key).set("written")
    other.read_after(str(one.token()))
    with pytest.raises(NodesBehind):
        other.register(key).get()
    trio.heal()
    assert wait_until(lambda: value(other, key), what="the write to spread") == "written"
    assert other.token().covers(one.token())


def value(client: Any, key: str) -> str | None:
    try:
        return client.register(key).get()
    except NodesBehind as error:
        raise AssertionError from error


def test_sessions_of_one_client_wait_only_for_what_each_has_seen(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio, "n2"), SHORT)
    waiting = client.session(Token.parse("eyJub2JvZHkiOjF9"))  # of a replica that nobody knows
    free = client.session()
    assert free.counter(key).value() == 0
    with pytest.raises(NodesBehind):
        waiting.counter(key).value()
    assert free.counter(key).value() == 0


# What is never repeated -------------------------------------------------------------------------------------------


def test_a_write_to_a_frozen_node_has_an_unknown_outcome_and_a_read_goes_elsewhere(
    trio: Fleet, connect, key: str
) -> None:
    client = connect(urls_of(trio), FREEZING)
    wait_until(lambda: reads_at(client, key) == address(trio, "n1"), what="a connection to n1")
    trio["n1"].suspend()
    with pytest.raises(OutcomeUnknown, match="it was not repeated") as caught:
        client.counter(key).increment()
    assert caught.value.node == address(trio, "n1")
    assert client.counter(key).value() == 0
    assert client.node == address(trio, "n2")
    trio["n1"].resume()
    trio["n1"].wait_until_serving()
    trio.sync_all()
    trio.agree()
    assert client.counter(key).value() <= 1


def test_an_idempotent_write_to_a_frozen_node_goes_elsewhere(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio), FREEZING)
    wait_until(lambda: reads_at(client, key) == address(trio, "n1"), what="a connection to n1")
    trio["n1"].suspend()
    assert client.set(key, idempotent=True).add("apple") == 1
    assert client.node == address(trio, "n2")


def test_a_node_whose_redis_is_away_says_so_and_is_left(trio: Fleet, connect, key: str) -> None:
    client = connect(urls_of(trio), PATIENT)
    client.set(key).add("before")
    trio.agree()
    trio.valkeys["n1"].suspend()
    reasons: list[str] = []

    def is_elsewhere() -> bool:
        try:
            client.set(key).add("after")
        except OutcomeUnknown as error:  # its commit was under way when the node gave up
            reasons.append(error.reason)
        return client.node == address(trio, "n2")

    wait_until(is_elsewhere, 60, "the client to go elsewhere")
    assert all("it may still take effect" in reason for reason in reasons)
    assert client.set(key).members() == {"before", "after"}


def test_every_increment_is_counted_once_or_reported_while_nodes_come_and_go(trio: Fleet, key: str) -> None:
    acknowledged, unknown, done = [], [], Event()

    def count(client: Client) -> None:
        session = client.session()
        while not done.is_set():
            try:
                session.counter(key).increment()
                acknowledged.append(1)
            except OutcomeUnknown:
                unknown.append(1)

    with Client(urls_of(trio), PATIENT) as client, ThreadPoolExecutor(3) as pool:
        counting = [pool.submit(count, client) for _ in range(3)]
        try:
            for name, ending in (("n1", signal.SIGTERM), ("n2", signal.SIGKILL), ("n1", signal.SIGKILL)):
                before = len(acknowledged)
                wait_until(lambda before=before: len(acknowledged) > before + 50, 60, "increments to be counted")
                trio[name].signal(ending)
                trio[name].exit_code()
                before = len(acknowledged)
                wait_until(lambda before=before: len(acknowledged) > before + 50, 60, "increments to go on elsewhere")
                trio[name].start().wait_until_serving()
        finally:
            done.set()
        for counter in counting:
            counter.result()
        trio.sync_all()
        trio.agree()
        value = client.counter(key).value()
    assert len(acknowledged) <= value <= len(acknowledged) + len(unknown)


# redis-py itself, passwords, TLS ----------------------------------------------------------------------------------


def test_plain_redis_py_at_the_node_of_the_session(trio: Fleet, key: str) -> None:
    with Client(urls_of(trio, "n1", "n2"), FREEZING) as client:
        client.register(key).set("here")
        plain = client.redis()
        assert plain.get(key) == b"here"
        with plain.pipeline(transaction=True) as pipeline:
            pipeline.hset(key + ":h", "a", 1)
            pipeline.incr(key + ":c")
            assert pipeline.execute() == [1, 1]
        client.read_after(plain.execute_command("DELTAIC.TOKEN"))
        trio["n1"].suspend()
        with pytest.raises(RedisError):
            plain.incr(key + ":c")
        trio["n1"].resume()
        wait_until(lambda: client.counter(key + ":c").value() == 2, what="the increment that was sent once")


def test_passwords_and_tls_are_told_by_the_url(tmp_path: Path, connect: Callable[..., Any]) -> None:
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("127.0.0.1", "localhost")
    files = f'resp_certificate = "{pair.certificate}"\nresp_key = "{pair.key}"\npassword = "sesame"\n'
    with Fleet(tmp_path / "fleet", nodes=1, settings=f"[security]\n{files}") as fleet:
        port, trust = fleet["n1"].resp_port, f"ssl_ca_certs={authority.file}"
        assert connect([f"rediss://:sesame@localhost:{port}?{trust}"]).counter("hits").increment() == 1
        with pytest.raises(Refused) as caught:
            connect([f"rediss://:wrong@localhost:{port}?{trust}"]).counter("hits").increment()
        assert "wrong@" not in str(caught.value)
        with pytest.raises(
            NoNodeAnswers, match=r"no TLS that both sides trust .unable to get local issuer certificate"
        ):
            connect([f"rediss://:sesame@localhost:{port}"], SHORT).counter("hits").increment()
        with pytest.raises(NoNodeAnswers):
            connect([f"redis://:sesame@localhost:{port}"], SHORT).counter("hits").increment()
