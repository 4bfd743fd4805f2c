"""The deployment: three nodes, each with its own Redis, replica, RQ workers and cron, and no centre."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.containers.deployment import NODES
from tests.support import wait_until
from workers.wire.access import Role

pytestmark = [pytest.mark.containers, pytest.mark.serial, pytest.mark.timeout(600)]


def agree(nodes, key_views):
    """Whether all `nodes` give the same answers to `key_views`, and have the same state behind them."""
    views = [[view(node) for view in key_views] for node in nodes]
    return all(view == views[0] for view in views) and len({node.digest() for node in nodes}) == 1


def successful_jobs(deployment, node):
    """How many jobs the one RQ worker of `node` has done."""
    worker = deployment.ask_redis(node, "SMEMBERS", "rq:workers")
    return int(deployment.ask_redis(node, "HGET", worker, "successful_job_count") or 0)


def test_every_node_is_whole(compose_deployment):
    """Each node's containers are healthy, and jobs that its own cron has scheduled succeed in its own Redis."""
    for node in NODES:
        compose_deployment.wait_until_healthy(f"redis-{node}")
        compose_deployment.wait_until_healthy(f"replica-{node}")
        wait_until(
            lambda node=node: successful_jobs(compose_deployment, node), timeout=60, what=f"a job of {node} to succeed"
        )
        assert compose_deployment.ask_redis(node, "ZCARD", "rq:cron_schedulers") == "1"


def test_a_peer_that_tries_more_than_it_may_is_refused(compose_deployment):
    for command in (
        ["FLUSHALL"],
        ["CONFIG", "GET", "*"],
        ["DEL", "deltaic:{n1}:log"],
        ["RPUSH", "rq:queue:deltaic-n1", "x"],
    ):
        assert "NOPERM" in compose_deployment.ask_redis("n1", *command, role=Role.PEER)
    assert "NOPERM" in compose_deployment.compose("exec", "-T", "redis-n1", "valkey-cli", "GET", "deltaic:{n1}:alive")


def test_clients_of_redis_reach_every_node(compose_deployment):
    """At a port of this machine; what one is told, all show."""
    for node in NODES:
        with Redis(port=compose_deployment.resp_ports[node]) as client:
            assert client.sadd("reached", node) == 1
            assert client.wait(len(NODES) - 1, 30_000) == len(NODES) - 1
    for node in NODES:
        with Redis(port=compose_deployment.resp_ports[node]) as client:
            assert client.smembers("reached") == {name.encode() for name in NODES}


def test_parted_at_the_network_they_differ_and_joined_they_agree(compose_deployment):
    n1, n2, n3 = (compose_deployment.nodes[node] for node in NODES)
    views = [lambda node: node.counter("hits"), lambda node: node.elements("tags"), lambda node: node.values("note")]

    for number, node in enumerate((n1, n2, n3), start=1):
        node.increment("hits", number)
        node.add("tags", f"from n{number}")
    n1.set("note", "before")
    wait_until(
        lambda: agree((n1, n2, n3), views) and n3.counter("hits") == 6 and n3.values("note") == {"before"},
        timeout=60,
        what="three nodes to agree before the cut",
    )

    compose_deployment.cut("n3")
    assert not compose_deployment.reaches("replica-n3", "redis-n1")
    assert not compose_deployment.reaches("replica-n1", "redis-n3")
    assert compose_deployment.reaches("replica-n3", "redis"), "a node keeps its own Redis"

    n1.increment("hits", 10)
    n1.remove("tags", "from n2")
    n1.set("note", "from the many")
    n3.increment("hits", 100)
    n3.add("tags", "from n2")
    n3.set("note", "from the one")
    wait_until(lambda: agree((n1, n2), views), timeout=60, what="n1 and n2, still together, to agree")
    assert [n1.counter("hits"), n3.counter("hits")] == [16, 106]
    assert set(n1.elements("tags")) == {"from n1", "from n3"}
    assert set(n3.elements("tags")) == {"from n1", "from n2", "from n3"}
    assert [n1.values("note"), n3.values("note")] == [{"from the many"}, {"from the one"}]

    compose_deployment.join("n3")
    assert compose_deployment.reaches("replica-n3", "redis-n1")
    wait_until(lambda: agree((n1, n2, n3), views), timeout=120, what="three nodes to agree after the cut")
    assert n2.counter("hits") == 116
    assert set(n2.elements("tags")) == {"from n1", "from n2", "from n3"}, "the add had not seen the remove: it wins"
    assert n2.values("note") == {"from the many", "from the one"}, "concurrent writes are both kept"


def test_the_data_outlives_the_containers(compose_deployment):
    for node, client in compose_deployment.nodes.items():
        client.add("kept", f"by {node}")
    everything = {f"by {node}" for node in NODES}
    clients = compose_deployment.nodes.values()
    wait_until(lambda: all(set(node.elements("kept")) == everything for node in clients), timeout=60, what="agreement")

    compose_deployment.down()
    compose_deployment.up()

    assert all(set(node.elements("kept")) == everything for node in clients)
    compose_deployment.nodes["n1"].add("kept", "by the next life")
    wait_until(
        lambda: all(set(node.elements("kept")) == everything | {"by the next life"} for node in clients),
        timeout=60,
        what="the nodes to go on replicating",
    )
