"""The connection between a worker and its Redis breaks in the worst moments: everything still happens exactly once.

n1 reaches its Redis through a proxy, which interferes; n2 tells what has reached the world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.messages import Round
from crdt_core.errors import Fenced
from tests.fleet import Fleet
from tests.interruptions import (
    CommitHeld,
    CommitSplit,
    MessageLost,
    ReplyLost,
    ReplySwallowed,
    RequestLate,
    RequestLost,
    RequestSwallowed,
)
from tests.load import Load
from tests.proxy import Proxy, pass_on
from tests.support import wait_until
from workers.wire.keys import DELTA_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet import Node


class Detour:
    """n1 of the fleet, with a proxy between it and its Redis."""

    def __init__(self, fleet: Fleet, proxy: Proxy) -> None:
        self.fleet = fleet
        self.proxy = proxy
        self.n1 = fleet.elsewhere("n1", redis=proxy.url)

    def check(self, load: Load, n1: Node | None = None) -> None:
        """What `load` wrote to n1 is there and at n2, once; its log counts its commits one by one."""
        n1, n2 = n1 or self.n1, self.fleet["n2"]
        wait_until(lambda: n2.clock() == n1.clock(), what="n2 to have all of n1")
        load.check(n1)
        load.check(n2)
        self.check_log(n1)

    def check_log(self, n1: Node, before: dict[bytes, object] | None = None) -> None:
        """n1's log counts its commits one by one, and still says what it said `before`: no dot was spent twice."""
        log = self.log()
        assert list(log) == [b"%d-0" % counter for counter in range(1, n1.clock()["n1"] + 1)]
        assert (before or {}).items() <= log.items()

    def log(self) -> dict[bytes, bytes]:
        """What n1's log says, by entry."""
        entries = self.fleet.redis().xrange(self.n1.keys.log)
        return {entry: fields[DELTA_FIELD] for entry, fields in entries}


@pytest.fixture(scope="module")
def detour_of_all(tmp_path_factory) -> Iterator[Detour]:
    limits = {"commit_timeout_ms": 500}  # a connection that is silent is given up before a caller of the load is
    with Fleet(tmp_path_factory.mktemp("detour"), nodes=2, appendfsync="always", limits=limits) as fleet:
        assert fleet["n1"].stop() == 0
        with Proxy(fleet.valkey.port) as proxy:
            yield Detour(fleet, proxy)


@pytest.fixture
def detour(detour_of_all) -> Iterator[Detour]:
    if not detour_of_all.n1.running:
        detour_of_all.n1.start()
    detour_of_all.n1.wait_until_serving()
    yield detour_of_all
    detour_of_all.proxy.script = pass_on


@pytest.fixture
def fleet(detour) -> Fleet:
    return detour.fleet


@pytest.mark.parametrize(
    "interruption",
    [
        RequestLost(),
        ReplyLost(),
        RequestLate(behind=False),
        RequestLate(behind=True),
        RequestSwallowed(),
        ReplySwallowed(),
    ],
    ids=[
        "request lost",
        "reply lost",
        "late before the second copy",
        "late behind the second copy",
        "request swallowed",
        "reply swallowed",
    ],
)
def test_a_commit_whose_connection_breaks_takes_effect_exactly_once(detour, key, interruption):
    detour.proxy.script = interruption
    with Load(detour.n1.address, 3, key) as load:
        load.wait_for_acknowledgements(20)
        interruption.armed.set()
        assert interruption.done.wait(20)
        load.wait_for_acknowledgements(20)
    assert not load.failed, "the worker finds out what became of it"
    detour.check(load)


def test_connections_that_break_again_and_again_do_no_harm(detour, key):
    with Load(detour.n1.address, 3, key) as load:
        for interruption in [RequestLost, ReplyLost] * 5:
            detour.proxy.script = script = interruption()
            script.armed.set()
            assert script.done.wait(20)
            load.wait_for_acknowledgements(5)
    assert not load.failed
    detour.check(load)


def test_a_message_whose_delivery_is_lost_is_taken_in_without_a_restart(detour):
    """Redis counts it as handed out, so it does not come again by itself."""
    detour.proxy.script = script = MessageLost(b'"round":"lost')
    message = Round("lost on its way", ("n2",), detour.n1.keys.answer("lost on its way"))
    detour.fleet.tell("n1", message)
    assert script.done.wait(10)
    assert detour.fleet.redis().blpop([message.answer_to], timeout=10)


def test_a_takeover_between_a_commit_and_the_watch_behind_it_is_noticed(detour, key):
    """The next commit would be guarded by a WATCH that began after the takeover: two would write one history."""
    detour.proxy.script = script = CommitSplit()
    successor = detour.fleet.elsewhere("n1")
    with Load(detour.n1.address, 2, key) as load:
        load.wait_for_acknowledgements(20)
        script.armed.set()
        assert script.held.wait(10)
        successor.start("--takeover").wait_until_serving()
        script.go.set()
        assert detour.n1.exit_code() == Fenced.exit_code
    assert successor.increment(f"{key} successor") == 1
    load.check(successor)
    wait_until(lambda: detour.fleet["n2"].clock() == successor.clock(), what="n2 to have all of n1")
    load.check(detour.fleet["n2"])
    assert successor.stop() == 0


WHERE = {
    "before all of it": b"*1",
    "within a command": b"HSET",
    "before the log's entry": b"XADD",
    "before the header": b"turn",
    "before EXEC": b"EXEC",
    "before the WATCH for the next one": b"WATCH",
    "before the answer": None,
}
"""Where a commit is when its worker is frozen: what it waits in front of."""


@pytest.mark.parametrize("woken_first", [False, True], ids=["arrives, then wakes up", "wakes up, then arrives"])
@pytest.mark.parametrize("where", WHERE)
def test_a_worker_that_was_frozen_within_a_commit_and_replaced_has_not_written_a_second_history(
    detour, key, where, woken_first
):
    """Whatever Redis had got of the commit, and whenever it gets the rest."""
    frozen, successor = detour.n1, detour.fleet.elsewhere("n1")
    detour.proxy.script = script = CommitHeld(WHERE[where])
    with Load(frozen.address, 2, key) as load:
        load.wait_for_acknowledgements(20)
        script.armed.set()
        assert script.held.wait(10)
        frozen.suspend()
        successor.start("--takeover").wait_until_serving()
        for number in range(1, 4):
            assert successor.increment(f"{key} successor") == number
        before = detour.log()
        for act in (frozen.resume, script.go.set) if woken_first else (script.go.set, frozen.resume):
            act()
        assert frozen.exit_code() == Fenced.exit_code
        assert successor.increment(f"{key} successor") == 4
    load.check(successor)
    wait_until(lambda: detour.fleet["n2"].clock() == successor.clock(), what="n2 to have all of n1")
    assert detour.fleet["n2"].digest() == successor.digest()
    load.check(detour.fleet["n2"])
    detour.check_log(successor, before)
    assert successor.stop() == 0
