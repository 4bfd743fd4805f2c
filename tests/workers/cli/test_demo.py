"""`deltaic demo`: what it tells, and that it leaves no trace, however it ends."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import WorldError
from tests.support import wait_until
from tests.workers.cli.invoking import invoke
from workers.config.loading import START_FLEET

if TYPE_CHECKING:
    from tests.fleet import Fleet


def paused_links(fleet: Fleet) -> set[tuple[str, str]]:
    """The links paused in Redis, as (listener, speaker)."""
    return {
        (name, peer.decode())
        for name, node in fleet.nodes.items()
        for peer, state in fleet.redis(name).hgetall(node.keys.links).items()
        if state == b"paused"
    }


def demo_keys(fleet: Fleet) -> set[str]:
    """The demo's keys that some node still shows."""
    found = {
        key.decode("utf-8", "backslashreplace")
        for node in fleet.nodes.values()
        for key in fleet.redis().hkeys(node.keys.state)
    }
    demo = [key for key in found if key.startswith("demo:")]
    return {key for key in demo if any(node.inspect(key).type for node in fleet.nodes.values())}


def test_tells_its_story_and_leaves_no_trace(fleet, deltaic):
    story = deltaic("demo", "--fast")
    assert "visits is 1 + 2 + 3 + 4 + 5" in story
    assert "15 + 10 + 100 = 125" in story
    assert "tea | coffee" in story
    assert "lacks apple" in story
    fleet.agree()
    assert not demo_keys(fleet)
    assert not paused_links(fleet)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_heals_and_tidies_up_when_stopped_half_way(fleet, deltaic, number):
    with deltaic.start("demo") as process:
        wait_until(lambda: paused_links(fleet), 20, "the demo to part the nodes")
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode != 0
    assert not paused_links(fleet)
    fleet.agree()
    assert not demo_keys(fleet)


def test_refuses_a_fleet_that_is_cut_already(fleet, deltaic):
    fleet.set_link("n2", "n1", "paused")
    result = deltaic.run("demo", "--fast")
    assert result.returncode == 3
    assert result.stderr.startswith("deltaic: the fleet is cut already (n2 does not hear n1, ")


def test_a_fleet_that_is_too_small_is_refused_with_the_remedy(nobody):
    refused = invoke(nobody, "demo", "--fast").exception
    assert isinstance(refused, WorldError)
    assert str(refused) == f"the demo needs 3 nodes, 0 answer; {START_FLEET}"
