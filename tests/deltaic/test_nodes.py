"""URLs of nodes: what is one, what it is called, and that no password is shown."""

from __future__ import annotations

import pytest
from redis import BlockingConnectionPool

from deltaic import Client, ClientOptions, InvalidArgument
from deltaic.nodes import named, pool_options


def test_nodes_are_called_by_their_addresses_in_the_callers_order() -> None:
    urls = ["redis://:secret@b.example:7201", "rediss://a.example", "redis://[::1]:7201", "unix:///run/n1.sock"]
    assert list(named(urls)) == ["b.example:7201", "a.example:6379", "::1:7201", "/run/n1.sock"]
    assert list(named("redis://127.0.0.1:7201")) == ["127.0.0.1:7201"]


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:7201", "http://:secret@h:1", "redis://:secret@h:port", "redis://:s/ecret@h", 7, None]
)
def test_what_is_no_url_of_a_node_is_refused_and_not_shown(url) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Client([url])
    assert "ecret" not in str(caught.value)


def test_a_database_that_no_node_has_is_refused() -> None:
    """Every connection failed at SELECT, and calls ended as if the node were down."""
    for url in ("redis://h:1/3", "unix:///run/n1.sock?db=3"):
        with pytest.raises(InvalidArgument, match="database 3; a node has only database 0"):
            Client([url])
    assert list(named(["redis://h:1/0", "redis://i:1/"])) == ["h:1", "i:1"]


def test_no_node_and_the_same_node_twice_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="there are none"):
        Client([])
    with pytest.raises(InvalidArgument, match="two are of the node at h:1"):
        Client(["redis://h:1", "redis://:p@h:1/0"])


def test_redis_py_itself_repeats_nothing() -> None:
    pool = BlockingConnectionPool.from_url("redis://127.0.0.1:1", **pool_options(ClientOptions()))
    assert pool.make_connection().retry.get_retries() == 0
