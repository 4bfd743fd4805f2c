"""Many calls on objects in one: batches as transactions, and streams of them, at real workers over gRPC."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from crdt_core.commands import COMMANDS, Invocation
from crdt_core.errors import Overloaded, Stopping
from crdt_core.types.expiry import CARRIED, EXPIRY
from tests.client import channel_to
from tests.fleet import Fleet, code_of
from tests.support import wait_until, wait_until_async
from tests.workers.mailboxes import QuickStore, SlowStore, end, open_mailbox
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.batches import Batches
from workers.rpc.deltaic_pb2_grpc import CRDTServiceStub
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fleet import Node
    from workers.turns.loop import Waiter

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

CALLS_MAX = 8
OPERATIONS_MAX = 100
MESSAGE_BYTES_MAX = 20_000
WRITE_TIMEOUT_MS = 700
LIMITS = {
    "batch_operations_max": OPERATIONS_MAX,
    "stream_batches_max": 4,
    "message_bytes_max": MESSAGE_BYTES_MAX,
    "concurrent_calls_max": CALLS_MAX,
    "write_timeout_ms": WRITE_TIMEOUT_MS,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two nodes with tight limits."""
    with Fleet(tmp_path_factory.mktemp("batches"), nodes=2, valkey_each=True, limits=LIMITS) as fleet:
        yield fleet


def increment(key: str, amount: int = 1) -> pb.BatchedOperation:
    return pb.BatchedOperation(increment_counter=pb.IncrementCounterRequest(counter_id=key, amount=amount))


def count(key: str) -> pb.BatchedOperation:
    return pb.BatchedOperation(get_counter=pb.GetCounterRequest(counter_id=key))


def add(key: str, element: str) -> pb.BatchedOperation:
    return pb.BatchedOperation(add_to_set=pb.AddToSetRequest(set_id=key, element=element))


def elements(key: str) -> pb.BatchedOperation:
    return pb.BatchedOperation(get_set=pb.GetSetRequest(set_id=key))


def batch(*operations: pb.BatchedOperation) -> pb.BatchRequest:
    return pb.BatchRequest(operations=operations)


def do(node: Node, *operations: pb.BatchedOperation) -> list[pb.BatchedResult]:
    return list(node.objects.Batch(batch(*operations), timeout=10).results)


def codes(results: list[pb.BatchedResult]) -> list[int]:
    """Of each result: a status code, 0 where it is fine."""
    return [result.error.code for result in results]


def code(status: grpc.StatusCode) -> int:
    number: int = status.value[0]
    return number


class Stream:
    """A stream to `node`, which the test writes to as it likes."""

    def __init__(self, node: Node, **options: Any) -> None:
        self._requests: queue.SimpleQueue[pb.BatchRequest | None] = queue.SimpleQueue()
        self.call = node.objects.StreamBatches(iter(self._requests.get, None), **options)

    def send(self, *operations: pb.BatchedOperation) -> None:
        self._requests.put(batch(*operations))

    def end(self) -> None:
        self._requests.put(None)

    def next(self) -> pb.BatchResponse:
        response: pb.BatchResponse = next(self.call)
        return response

    def rest(self) -> tuple[list[pb.BatchResponse], grpc.StatusCode]:
        """What it still answers, and the status that it ends with."""
        answers: list[pb.BatchResponse] = []
        try:
            for response in self.call:
                answers.append(response)  # noqa: PERF402  what came before the end counts
        except grpc.RpcError as error:
            return answers, code_of(error)
        return answers, self.call.code()


# Batches


def test_every_call_on_objects_can_be_in_a_batch_and_each_has_its_result(fleet: Fleet) -> None:
    before = fleet["n1"].clock().get("n1", 0)
    results = do(
        fleet["n1"],
        increment("all:hits", 7),
        pb.BatchedOperation(decrement_counter=pb.DecrementCounterRequest(counter_id="all:hits", amount=2)),
        count("all:hits"),
        add("all:fruit", "apple"),
        add("all:fruit", "pear"),
        pb.BatchedOperation(remove_from_set=pb.RemoveFromSetRequest(set_id="all:fruit", element="pear")),
        elements("all:fruit"),
        pb.BatchedOperation(set_register=pb.SetRegisterRequest(register_id="all:name", value="ada", timestamp=5)),
        pb.BatchedOperation(get_register=pb.GetRegisterRequest(register_id="all:name")),
        pb.BatchedOperation(set_flag=pb.SetFlagRequest(flag_id="all:on", enabled=True)),
        pb.BatchedOperation(get_flag=pb.GetFlagRequest(flag_id="all:on")),
        pb.BatchedOperation(delete=pb.DeleteRequest(key="all:on")),
    )
    assert [result.WhichOneof("result") for result in results] == [
        *("increment_counter", "decrement_counter", "get_counter"),
        *("add_to_set", "add_to_set", "remove_from_set", "get_set"),
        *("set_register", "get_register", "set_flag", "get_flag", "delete"),
    ]
    assert [results[0].increment_counter.value, results[1].decrement_counter.value, results[2].get_counter.value] == [
        *(7, 5, 5)
    ]
    assert list(results[6].get_set.elements) == ["apple"]
    assert (list(results[8].get_register.values), results[8].get_register.timestamp) == (["ada"], 5)
    assert results[10].get_flag.enabled
    assert results[11].delete.deleted
    assert fleet["n1"].clock()["n1"] == before + 1, "one commit"
    assert len(pb.BatchedOperation.DESCRIPTOR.fields) == 11, "a new call is tried here, too"


def test_an_operation_that_is_refused_does_not_stop_the_others(fleet: Fleet) -> None:
    fleet["n1"].add("wrong:set", "a")
    results = do(
        fleet["n1"],
        increment("wrong:before"),
        increment("wrong:set"),
        increment(""),
        increment("wrong:negative", -1),
        add("k" * 2000, "a"),
        add("wrong:set", ""),
        pb.BatchedOperation(add_to_set=pb.AddToSetRequest(set_id="wrong:set", element="b", kind=9)),  # type: ignore[arg-type]
        pb.BatchedOperation(),
        increment("wrong:after"),
    )
    refused = [code(PRECONDITION), *[code(INVALID)] * 6]
    assert codes(results) == [0, *refused, 0]
    assert "'wrong:set' is of type orset" in results[1].error.message
    assert results[2].error.message == "counter_id: must not be empty"
    assert "limits.key_bytes_max" in results[4].error.message
    assert (fleet["n1"].counter("wrong:before"), fleet["n1"].counter("wrong:after")) == (1, 1)
    assert fleet["n1"].elements("wrong:set") == ["a"]


def test_a_batch_of_nothing_or_of_nothing_but_mistakes_commits_nothing(fleet: Fleet) -> None:
    before = fleet["n1"].clock()
    assert do(fleet["n1"]) == []
    assert codes(do(fleet["n1"], increment(""), pb.BatchedOperation())) == [code(INVALID)] * 2
    assert fleet["n1"].clock() == before


def test_a_batch_is_whole_wherever_it_shows(fleet: Fleet) -> None:
    """Two counters that are only ever counted together are never seen apart, at either node."""
    stream = Stream(fleet["n1"])
    for _ in range(200):
        stream.send(increment("pair:left"), increment("pair:right"))
    stream.end()
    seen = set()
    for node in (fleet["n1"], fleet["n2"]):

        def all_there(node: Node = node) -> bool:
            left, right = do(node, count("pair:left"), count("pair:right"))
            assert left.get_counter.value == right.get_counter.value
            seen.add(left.get_counter.value)
            return left.get_counter.value == 200

        wait_until(all_there, what="all to have arrived")
    assert len(list(stream.call)) == 200


def test_more_operations_than_the_limit_are_refused_together(fleet: Fleet) -> None:
    many = [increment("many")] * (OPERATIONS_MAX + 1)
    with pytest.raises(grpc.RpcError) as caught:
        do(fleet["n1"], *many)
    assert code_of(caught.value) is EXHAUSTED
    assert "101 operations, over the limit of 100 (setting limits.batch_operations_max)" in caught.value.details()
    assert fleet["n1"].counter("many") == 0
    assert codes(do(fleet["n1"], *many[1:])) == [0] * OPERATIONS_MAX


def test_reads_beyond_what_the_answer_has_room_for_are_refused_and_writes_are_not(fleet: Fleet) -> None:
    """Their sum once had no bound: each read of a batch may be as long as a message."""
    fleet["n1"].add("long", *(f"{number}" + "x" * 900 for number in range(8)))
    results = do(fleet["n1"], count("short"), *[elements("long")] * 4, increment("short"), count("short"))
    assert codes(results) == [0, 0, 0, *[code(EXHAUSTED)] * 2, 0, code(EXHAUSTED)]
    assert "bytes, over the limit of 20000 (setting limits.message_bytes_max)" in results[3].error.message
    assert fleet["n1"].counter("short") == 1
    assert codes(do(fleet["n1"], *[elements("long")] * 4)) == [0, 0, code(EXHAUSTED), code(EXHAUSTED)]


# Streams


def test_a_stream_answers_in_order_and_goes_on_after_mistakes(fleet: Fleet) -> None:
    stream = Stream(fleet["n1"])
    stream.send(increment("order"))
    stream.send(*[increment("order")] * (OPERATIONS_MAX + 1))
    stream.send(increment("order"), increment(""), count("order"))
    stream.send()
    stream.send(increment("order"))
    stream.end()
    (first, too_many, mixed, nothing, last), status = stream.rest()
    assert first.results[0].increment_counter.value == 1
    assert (too_many.error.code, list(too_many.results)) == (code(EXHAUSTED), [])
    assert codes(list(mixed.results)) == [0, code(INVALID), 0]
    assert mixed.results[2].get_counter.value == 2
    assert (list(nothing.results), nothing.HasField("error")) == ([], False)
    assert last.results[0].increment_counter.value == 3
    assert status is grpc.StatusCode.OK


def test_what_is_read_in_a_stream_shows_what_was_sent_before_and_nothing_sent_after(fleet: Fleet) -> None:
    stream = Stream(fleet["n1"])
    for _ in range(50):
        stream.send(count("turns"))
        stream.send(increment("turns"))
    stream.end()
    responses = list(stream.call)
    assert [response.results[0].get_counter.value for response in responses[::2]] == list(range(50))


def test_bytes_that_are_no_batch_are_answered_and_the_stream_goes_on(fleet: Fleet) -> None:
    with channel_to(fleet["n1"].address) as channel:
        call = channel.stream_stream(
            "/deltaic.v1.CRDTService/StreamBatches", response_deserializer=pb.BatchResponse.FromString
        )
        junk, fine = call(iter([b"\xff\xff", batch(increment("after junk")).SerializeToString()]), timeout=10)
    assert junk.error.code == code(INVALID)
    assert fine.results[0].increment_counter.value == 1


def test_a_batch_that_redis_does_not_confirm_in_time_fails_and_the_stream_goes_on(fleet: Fleet) -> None:
    server = fleet.valkeys["n1"]
    stream = Stream(fleet["n1"])
    os.kill(server.pid, signal.SIGSTOP)
    try:
        stream.send(increment("frozen"))
        stream.send(count("frozen"))
        for failed in (stream.next(), stream.next()):
            assert failed.error.code == code(UNAVAILABLE)
            assert "no confirmation from Redis within 0.7 s" in failed.error.message
    finally:
        os.kill(server.pid, signal.SIGCONT)

    def counts() -> bool:
        stream.send(count("frozen"))
        return [result.get_counter.value for result in stream.next().results] == [1]

    wait_until(counts, what="the stream to go on")
    stream.call.cancel()


def test_streams_are_calls_under_way_until_they_end(fleet: Fleet) -> None:
    streams = [Stream(fleet["n1"]) for _ in range(CALLS_MAX)]
    for stream in streams:
        stream.send()
        stream.next()
    with pytest.raises(grpc.RpcError) as caught:
        fleet["n1"].increment("beyond")
    assert code_of(caught.value) is EXHAUSTED
    assert fleet["n1"].is_serving()
    assert Stream(fleet["n1"]).rest() == ([], EXHAUSTED)
    for stream in streams[1:]:
        stream.call.cancel()
    streams[0].end()
    assert streams[0].rest() == ([], grpc.StatusCode.OK)
    wait_until(lambda: _goes(lambda: fleet["n1"].increment("again")), what="room for calls")


def _goes(call: Callable[[], Any]) -> bool:
    try:
        call()
    except grpc.RpcError:
        return False
    return True


def test_a_client_that_goes_away_leaves_what_it_sent_done_or_not_and_nothing_else(fleet: Fleet) -> None:
    with channel_to(fleet["n1"].address) as channel:
        call = CRDTServiceStub(channel).StreamBatches(batch(increment("gone"), increment("gone")) for _ in range(500))
        next(call)
    assert fleet["n1"].counter("gone") % 2 == 0
    stream = Stream(fleet["n1"])
    stream.send(increment("stays"))
    assert stream.next().results[0].increment_counter.value == 1
    stream.call.cancel()


# The end of a worker


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, nodes=1) as fleet:
        yield fleet


def test_a_worker_that_stops_answers_what_it_has_read_and_ends_its_streams(lone: Fleet) -> None:
    idle, busy = Stream(lone["n1"]), Stream(lone["n1"])
    for stream in (idle, busy):
        stream.send(increment("stops"))
        stream.next()
    for _ in range(2000):
        busy.send(increment("stops"))
    answered = 2 + len([busy.next() for _ in range(20)])
    lone["n1"].signal(signal.SIGTERM)
    assert idle.rest() == ([], UNAVAILABLE)
    assert "the worker is shutting down" in idle.call.details()
    responses, status = busy.rest()
    assert status is UNAVAILABLE
    assert not any(response.HasField("error") for response in responses)
    answered += len(responses)
    assert lone["n1"].exit_code() == 0
    lone["n1"].start().wait_until_serving()
    assert lone["n1"].counter("stops") == answered, "all that was read was answered"


def test_a_worker_that_is_replaced_ends_its_streams(lone: Fleet) -> None:
    stream = Stream(lone["n1"])
    stream.send(increment("replaced"))
    stream.next()
    successor = lone.elsewhere("n1")
    successor.start("--takeover").wait_until_serving()
    assert stream.rest() == ([], UNAVAILABLE)
    assert lone["n1"].exit_code() == 5
    assert successor.counter("replaced") == 1


def test_a_stream_needs_the_password(tmp_path: Path) -> None:
    with Fleet(tmp_path, nodes=1, settings='[security]\npassword = "s3cret"\n') as fleet:
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            stream = Stream(fleet["n1"], metadata=metadata, timeout=5)
            stream.send(increment("hits"))
            assert stream.rest() == ([], grpc.StatusCode.UNAUTHENTICATED)
            with pytest.raises(grpc.RpcError) as caught:
                fleet["n1"].objects.Batch(batch(increment("hits")), metadata=metadata, timeout=5)
            assert code_of(caught.value) is grpc.StatusCode.UNAUTHENTICATED
        stream = Stream(fleet["n1"], metadata=(("authorization", "Bearer s3cret"),))
        stream.send(increment("hits"))
        assert stream.next().results[0].increment_counter.value == 1
        stream.call.cancel()


# What is under way, counted


class HeldMailbox:
    """A mailbox that answers when it is told to."""

    def __init__(self) -> None:
        self.held: list[Callable[[Any, Exception | None], None]] = []

    def submit(self, _operation: object, waiter: Waiter, _now_s: float, *_weight: int) -> None:
        self.held.append(waiter.on_reply)


class EndlessContext:
    """A client that sends the same for ever, and keeps what it is answered."""

    def __init__(self, request: pb.BatchRequest) -> None:
        self._request = request
        self.read_so_far = 0
        self.answers: list[pb.BatchResponse] = []

    async def read(self) -> pb.BatchRequest:
        await asyncio.sleep(0)
        self.read_so_far += 1
        return self._request

    async def write(self, response: pb.BatchResponse) -> None:
        self.answers.append(response)


async def settled() -> None:
    """Everything has run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"stream_batches_max": 3}, 3), ({"stream_batches_max": 100, "message_bytes_max": 5000}, 5)],
    ids=["batches", "bytes"],
)
async def test_a_stream_is_read_on_only_when_something_of_it_was_answered(limits: Any, expected: int) -> None:
    mailbox, context = HeldMailbox(), EndlessContext(batch(add("k", "x" * 1000)))
    batches = Batches(mailbox, LimitSettings(**limits))  # type: ignore[arg-type]
    stream = asyncio.create_task(batches.stream(context))  # type: ignore[arg-type]
    await wait_until_async(lambda: len(mailbox.held) == expected, what="the batches to be read")
    await settled()
    assert context.read_so_far == len(mailbox.held) == expected
    mailbox.held[1](pb.BatchResponse(), None)
    await settled()
    assert context.read_so_far == expected, "the answers have an order"
    mailbox.held[0](pb.BatchResponse(), None)
    await settled()
    assert (len(context.answers), context.read_so_far) == (2, expected + 2)
    closing = asyncio.create_task(batches.close(patience_s=30))
    await settled()
    for on_reply in mailbox.held[2:]:
        assert not closing.done(), "a connection that is closed too early takes answers along that are not read yet"
        on_reply(pb.BatchResponse(), None)
        await settled()
    with pytest.raises(Stopping):
        await stream
    assert len(context.answers) == context.read_so_far == expected + 2
    await closing


async def test_batches_of_a_stream_that_wait_share_a_commit() -> None:
    store, context = SlowStore(), EndlessContext(batch(increment("k")))
    mailbox, turns = open_mailbox(store, call_timeout_s=30)
    batches = Batches(mailbox, LimitSettings(stream_batches_max=9))
    stream = asyncio.create_task(batches.stream(context))  # type: ignore[arg-type]
    await wait_until_async(store.committing.is_set, what="the first commit")
    await wait_until_async(lambda: context.read_so_far == 9, what="as many as may be under way")
    closing = asyncio.create_task(batches.close(patience_s=30))
    await end(mailbox, turns, store)
    with pytest.raises(Stopping):
        await stream
    await closing
    assert [answer.results[0].increment_counter.value for answer in context.answers] == list(range(1, 10))
    assert store.turn == 2


class RecordingStore(QuickStore):
    """A store that notes how many slices came before each commit; once it is confirmed, they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.slices: list[int] = []

    async def persist(self, commit: Any) -> None:
        self.slices.append(len(commit.earlier))
        await super().persist(commit)


async def test_a_batch_that_deletes_something_large_runs_in_slices() -> None:
    """A delete in a batch was one turn, whatever it deleted."""
    store = RecordingStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=30)
    batches = Batches(mailbox, LimitSettings())
    await mailbox.call(Invocation(COMMANDS[b"SADD"], [b"s", *[b"%d" % n for n in range(3000)]], wall_ms()))
    deletes = pb.BatchedOperation(delete=pb.DeleteRequest(key="s"))
    response = await batches.alone(batch(add("before", "x"), deletes, elements("before"), deletes))
    added, first, seen, second = response.results
    assert (added.add_to_set.added, first.delete.deleted, second.delete.deleted) == (True, True, False)
    assert list(seen.get_set.elements) == ["x"]
    assert store.slices[-1] >= 6
    await end(mailbox, turns, store)


async def test_a_batch_carries_the_deadline_that_it_saw() -> None:
    """A call that came alone carried it, one in a batch did not."""
    store = QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=30)
    batches = Batches(mailbox, LimitSettings())
    await batches.alone(batch(add("s", "x")))
    await mailbox.call(Invocation(COMMANDS[b"EXPIRE"], [b"s", b"900"], wall_ms()))
    await batches.alone(batch(add("s", "y")))
    deadlines = mailbox.node.replica.catalogue.find(b"s", EXPIRY.name)
    assert deadlines is not None
    assert CARRIED in deadlines.parts
    await end(mailbox, turns, store)


async def test_the_operations_of_all_batches_together_are_bounded_as_calls_are() -> None:
    """A batch counted as one call, and ten thousand calls of a thousand operations each could wait."""
    mailbox, told = HeldMailbox(), []
    batches = Batches(mailbox, LimitSettings(calls_waiting_max=5))  # type: ignore[arg-type]
    for size in (3, 2, 1):
        batches.submit(batch(*[increment("k")] * size), told.append, at_once=True)
    assert len(mailbox.held) == 2
    (refused,) = told
    assert isinstance(refused, Overloaded)
    mailbox.held[0](pb.BatchResponse(), None)
    batches.submit(batch(*[increment("k")] * 3), told.append, at_once=True)
    assert len(mailbox.held) == 3
