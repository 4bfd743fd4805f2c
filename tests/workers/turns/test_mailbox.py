"""What callers are told while Redis is in trouble: reads at once, writes in time, why, and whether they may happen."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.codec.messages import Answer, Done, encode_message
from crdt_core.commands import COMMANDS, Execute, read
from crdt_core.errors import Fenced, InvalidArgument, Overloaded, Stopping, StoreUnavailable
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.node.events import MessagesRead, PatchAsked, RoundAsked, Send, SendFailed
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.crdt_core.writes import Count, Look, Refuse
from tests.invocations import value_of
from tests.support import wait_until_async
from tests.workers.mailboxes import QuickStore, SlowStore, end, open_mailbox
from workers.replication.outbox import Outbox
from workers.turns.loop import CallbackWaiter
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from crdt_core.node.events import Event
    from workers.turns.mailbox import Mailbox

KEY = b"hits"


def shown(mailbox: Mailbox) -> int | None:
    """What a reader is shown under the key."""
    reply = read(mailbox.state, COMMANDS[b"GET"], [KEY], wall_ms=0, seed=0)
    return int(reply) if isinstance(reply, bytes) else None


async def test_a_call_that_was_given_up_before_its_turn_is_not_begun() -> None:
    """Its caller has probably repeated it. One whose commit was under way may still take effect, and here does."""
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    under_way = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await store.committing.wait()
    waiting = asyncio.create_task(mailbox.call(Count(KEY, 10)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    store.back.set()
    assert await under_way == 1
    assert await mailbox.call(Look(KEY)) == 1
    await end(mailbox, turns, store)


async def test_a_read_is_answered_at_once_while_a_commit_is_under_way_and_does_not_show_it() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    store.back.set()
    assert await mailbox.call(Count(KEY, 1)) == 1
    store.back.clear()
    store.committing.clear()
    written = asyncio.create_task(mailbox.call(Count(KEY, 10)))
    await store.committing.wait()
    assert shown(mailbox) == 1
    store.back.set()
    assert await written == 11
    assert shown(mailbox) == 11
    await end(mailbox, turns, store)
    with pytest.raises(Stopping):
        shown(mailbox)


async def test_whoever_waits_in_vain_is_told_why_and_whether_it_may_still_happen() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=0.05)
    begun = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await store.committing.wait()
    store.trouble = Trouble(monotonic(), "Redis refuses: OOM")
    waiting = asyncio.create_task(mailbox.ask_in_time(lambda token: PatchAsked(VersionVector(), token, 1 << 20)))
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s \(Redis refuses: OOM\); it may still take effect"):
        await begun
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s \(Redis refuses: OOM\); nothing was changed"):
        await waiting
    await end(mailbox, turns, store)
    assert mailbox.node.replica.value(KEY) == 1


async def test_while_redis_is_known_to_be_in_trouble_nobody_waits_in_vain() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=30)
    begun = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await store.committing.wait()
    store.trouble = Trouble(monotonic() - 31, "READONLY")
    with pytest.raises(StoreUnavailable, match=r"no commit for 31 s \(READONLY\); nothing was changed"):
        await mailbox.call(Count(KEY, 10))
    store.trouble = None
    store.back.set()
    assert await begun == 1
    assert await mailbox.call(Count(KEY, 10)) == 11
    await end(mailbox, turns, store)


async def test_no_more_calls_wait_than_the_limit_says() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60, calls_waiting_max=3)
    waiting = [asyncio.create_task(mailbox.call(Count(KEY, 1))) for _ in range(3)]
    await store.committing.wait()
    with pytest.raises(Overloaded, match=r"3 calls wait already \(setting limits\.calls_waiting_max\)"):
        await mailbox.call(Count(KEY, 10))
    assert shown(mailbox) is None
    store.back.set()
    await asyncio.gather(*waiting)
    assert await mailbox.call(Count(KEY, 10)) == 13
    await end(mailbox, turns, store)


async def test_calls_that_were_given_up_leave_nothing_behind() -> None:
    """Callers that time out and try again, for hours, must not fill the mailbox."""
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=0.001, calls_waiting_max=1)
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await mailbox.call(Count(KEY, 1))
    assert mailbox.calls_waiting == 0
    await end(mailbox, turns, store)


async def test_a_round_is_not_waited_for_for_ever() -> None:
    """Redis goes away in the middle of it."""
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=0.02)
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
        await mailbox.ask_in_time(lambda token: RoundAsked(("n2",), token), extra_s=0.03)
    await end(mailbox, turns, store)


class NoRedis:
    """A peer's Redis that takes nothing until `back` is set."""

    def __init__(self) -> None:
        self.back = asyncio.Event()
        self.taken: list[Any] = []

    async def xadd(self, _key: str, fields: dict[bytes, bytes], **_: object) -> None:
        await self.back.wait()
        self.taken.append(fields)


async def test_a_peer_that_takes_nothing_is_sent_the_latest_messages_and_the_others_are_reported() -> None:
    peer: Any = NoRedis()
    peers: Any = SimpleNamespace(name="n1", redis=lambda _: peer, inbox_entries_max=100)
    outbox = Outbox(peer, peers)
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=1)
    store.back.set()
    failed: list[Event] = []
    mailbox.put = failed.append  # type: ignore[method-assign]
    serving = asyncio.create_task(outbox.run(mailbox))
    for number in range(1000):
        outbox.release(Send("n2", Done("n1", f"round-{number}", 0)))
    peer.back.set()
    await wait_until_async(lambda: len(failed) + len(peer.taken) == 1000, what="all to be sent or given up")
    assert failed == [SendFailed("n2", f"round-{number}") for number in range(900)]
    serving.cancel()
    await end(mailbox, turns, store)


async def test_a_submission_is_told_once_and_after_its_commit() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    told: list[tuple[Any, Exception | None]] = []
    mailbox.submit(Count(KEY, 1), CallbackWaiter(lambda *said: told.append(said)), monotonic())
    mailbox.submit(Refuse(), CallbackWaiter(lambda *said: told.append(said)), monotonic())
    await store.committing.wait()
    assert told == []
    assert shown(mailbox) is None
    store.back.set()
    await wait_until_async(lambda: len(told) == 2, what="both to be told")
    assert told[0] == (1, None)
    assert isinstance(told[1][1], InvalidArgument)
    assert shown(mailbox) == 1
    await end(mailbox, turns, store)
    assert len(told) == 2


async def test_submissions_whose_time_is_up_are_told_and_those_not_begun_never_happen() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=0.05, calls_waiting_max=2)
    told: list[Any] = []
    mailbox.submit(Count(KEY, 1), CallbackWaiter(lambda *said: told.append(said[1])), monotonic())
    await store.committing.wait()
    mailbox.submit(Count(KEY, 10), CallbackWaiter(lambda *said: told.append(said[1])), monotonic())
    with pytest.raises(Overloaded):
        mailbox.submit(Count(KEY, 100), CallbackWaiter(lambda *said: told.append(said[1])), monotonic())
    await wait_until_async(lambda: len(told) == 2, what="both to be told")
    begun, waiting = told
    assert (begun.unchanged, waiting.unchanged) == (False, True)
    assert mailbox.calls_waiting == 0
    await end(mailbox, turns, store)
    assert mailbox.node.replica.value(KEY) == 1
    assert len(told) == 2


async def test_submissions_that_wait_when_the_worker_stops_are_told() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    told: list[Any] = []
    mailbox.submit(Count(KEY, 1), CallbackWaiter(lambda *said: told.append(said[1])), monotonic())
    await store.committing.wait()
    turns.cancel()
    await asyncio.gather(turns, return_exceptions=True)
    await wait_until_async(lambda: told, what="it to be told")
    assert isinstance(told[0], Stopping)
    with pytest.raises(Stopping):
        mailbox.submit(Count(KEY, 1), CallbackWaiter(lambda *said: told.append(said[1])), monotonic())
    with pytest.raises(Stopping):
        _ = mailbox.state


async def test_observers_see_what_a_commit_has_changed_once_it_is_confirmed() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    seen: list[set[bytes]] = []
    mailbox.observers.append(lambda changed: seen.append({key for key, _, _ in changed}))
    calling = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await store.committing.wait()
    assert seen == []
    store.back.set()
    await calling
    assert seen == [{KEY}]
    await end(mailbox, turns, store)


async def test_a_caller_that_fails_at_its_answer_does_not_take_the_turns_with_it() -> None:
    store = SlowStore()
    store.back.set()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    told: list[Any] = []

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    mailbox.submit(Count(KEY, 1), CallbackWaiter(fail), monotonic())
    mailbox.submit(Count(KEY, 1), CallbackWaiter(lambda *said: told.append(said)), monotonic())
    await wait_until_async(lambda: told, what="the other to be told")
    assert told == [(2, None)]
    assert isinstance(failures[0]["exception"], ZeroDivisionError)
    assert failures[0]["message"] == "Exception in on_reply of a CallbackWaiter", "it must not tell what was asked"
    assert await mailbox.call(Count(KEY, 1)) == 3
    await end(mailbox, turns, store)


async def test_time_passes_for_a_node_to_which_nothing_happens() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    before = mailbox.node.counts["turns"]
    await wait_until_async(lambda: mailbox.node.counts["turns"] > before + 1, what="turns of a node that is left alone")
    await end(mailbox, turns, store)


async def test_a_suspicion_makes_a_commit_though_there_is_nothing_to_persist() -> None:
    """The commit finds out whether Redis still has the replica."""
    store = SlowStore()
    store.back.set()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    mailbox.suspect()
    await wait_until_async(lambda: mailbox.persisted == 1, what="an empty commit")
    await end(mailbox, turns, store)
    assert mailbox.confirmed.clock == {}


async def test_what_the_mailbox_tells_of_the_replica_is_what_was_confirmed_last() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    calling = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await store.committing.wait()
    assert mailbox.confirmed.clock == {}
    store.back.set()
    await calling
    assert mailbox.confirmed.clock == {"n1": 1}
    assert mailbox.confirmed.digest == mailbox.node.replica.digest
    assert mailbox.messages_waiting == 0
    await end(mailbox, turns, store)


async def test_a_store_that_must_not_go_on_ends_the_turns_and_everybody_is_told() -> None:
    class Lost(SlowStore):
        async def persist(self, _commit: object) -> None:
            await super().persist(_commit)
            raise Fenced("n1")

    store = Lost()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    begun = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await store.committing.wait()
    waiting = asyncio.create_task(mailbox.call(Count(KEY, 1)))
    await asyncio.sleep(0)
    store.back.set()
    with pytest.raises(Fenced):
        await turns
    with pytest.raises(Stopping, match="it may still take effect"):
        await begun
    with pytest.raises(Stopping, match="nothing was changed"):
        await waiting
    assert mailbox.calls_waiting == 0


async def test_a_round_that_may_take_long_does_not_make_calls_wait_as_long() -> None:
    """The timer once stood at the deadline of a round, and calls that came after it were told as late as that."""
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=0.05, exchange_timeout_ms=60_000)
    store.back.set()
    under_way = asyncio.create_task(mailbox.ask_in_time(lambda token: RoundAsked(("n2",), token), extra_s=60))
    await asyncio.sleep(0)
    await mailbox.call(Count(KEY, 1))
    await wait_until_async(lambda: mailbox.calls_waiting == 1)
    turns_now = mailbox.node.counts["turns"]
    await wait_until_async(lambda: mailbox.node.counts["turns"] >= turns_now + 2, what="two ticks")
    store.back.clear()
    told: list[Any] = []
    mailbox.submit(Count(KEY, 1), CallbackWaiter(lambda *said: told.append(said[1])), monotonic())
    await wait_until_async(lambda: told, what="the call to be told that its time is up")
    assert isinstance(told[0], StoreUnavailable)
    under_way.cancel()
    await end(mailbox, turns, store)


async def test_others_are_served_while_a_large_patch_is_joined() -> None:
    """A node that came back to 400 000 new keys once answered nobody for 3.3 s: it joined them in one turn."""
    peer, parts = Replica("n2"), 5000
    for number in range(parts):
        peer.write(KEY + b"%d" % number, ORSET, b"x", True)
    peer.commit(Stamp(1, 0))
    store = SlowStore()
    store.back.set()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    await mailbox.call(Look(KEY))
    answer = encode_message(Answer("n2", "r", peer.patch(None, Stamp(1, 0))))
    mailbox.put(MessagesRead([("1-0", answer)]))
    served = 0
    while not (seen := [value_of(mailbox.state, KEY + b"%d" % number) for number in range(0, parts, 250)])[-1]:
        assert not any(seen), "it shows as one"
        served += 1
        await asyncio.sleep(0)
    assert all(seen)
    assert served > 10
    assert mailbox.confirmed.clock == {"n2": 1}
    await end(mailbox, turns, store)


async def test_what_large_work_leaves_behind_is_freed_though_nothing_else_happens() -> None:
    """It was freed at once by whatever came next."""
    store = QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    members = [b"m%d" % number for number in range(3000)]
    await mailbox.call(Execute([(COMMANDS[b"SADD"], [b"large", *members])], 0, 1))
    await mailbox.call(Execute([(COMMANDS[b"DEL"], [b"large"])], 0, 1))
    assert mailbox.node.large.discards
    shown_meanwhile = 0
    while mailbox.node.large.discards:
        await asyncio.sleep(0)
        shown_meanwhile += 1
    assert shown_meanwhile > len(members) // mailbox.node.options.parts_per_slice
    await end(mailbox, turns, store)


async def test_a_call_does_not_wait_until_all_is_freed_that_large_work_has_left_behind() -> None:
    store = QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    members = [b"m%d" % number for number in range(10_000)]
    await mailbox.call(Execute([(COMMANDS[b"SADD"], [b"large", *members])], 0, 1))
    await mailbox.call(Execute([(COMMANDS[b"DEL"], [b"large"])], 0, 1))
    answered = 0
    while mailbox.node.large.discards:  # also where a turn is always due
        await mailbox.call(Execute([(COMMANDS[b"SET"], [b"k", b"%d" % answered])], 0, 1))
        answered += 1
    assert 1 < answered < len(members) // 100
    await end(mailbox, turns, store)
