"""`CRDTService`, call by call, on a real mailbox."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from crdt_core.commands import COMMANDS, Invocation
from crdt_core.errors import CounterOverflow, InvalidArgument, WrongType
from tests.support import wait_until_async
from tests.workers.mailboxes import QuickStore, SlowStore, end, open_mailbox
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.batches import Batches
from workers.rpc.objects import Objects
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fleet import Fleet
    from workers.turns.mailbox import Mailbox

LARGEST = 2**63 - 1
NOBODY: Any = None
"""The context of a call, which these do not look at."""


@asynccontextmanager
async def opened(store: SlowStore | None = None) -> AsyncIterator[tuple[Objects, Mailbox]]:
    store = store or QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=5)
    try:
        yield Objects(mailbox, LimitSettings(), Batches(mailbox, LimitSettings())), mailbox
    finally:
        await end(mailbox, turns, store)


async def count(objects: Objects, key: str, amount: int, **fields: Any) -> int:
    request = pb.IncrementCounterRequest(counter_id=key, amount=amount, **fields)
    return int((await objects.IncrementCounter(request, NOBODY)).value)


async def uncount(objects: Objects, key: str, amount: int) -> int:
    request = pb.DecrementCounterRequest(counter_id=key, amount=amount)
    return int((await objects.DecrementCounter(request, NOBODY)).value)


async def counter(objects: Objects, key: str) -> tuple[int, int]:
    response = await objects.GetCounter(pb.GetCounterRequest(counter_id=key), NOBODY)
    return response.value, response.kind


async def add(objects: Objects, key: str, element: str, **fields: Any) -> bool:
    request = pb.AddToSetRequest(set_id=key, element=element, **fields)
    return bool((await objects.AddToSet(request, NOBODY)).added)


async def remove(objects: Objects, key: str, element: str, **fields: Any) -> bool:
    request = pb.RemoveFromSetRequest(set_id=key, element=element, **fields)
    return bool((await objects.RemoveFromSet(request, NOBODY)).removed)


async def elements(objects: Objects, key: str) -> tuple[list[str], int]:
    response = await objects.GetSet(pb.GetSetRequest(set_id=key), NOBODY)
    return list(response.elements), response.kind


async def write(objects: Objects, key: str, value: str, **fields: Any) -> bool:
    request = pb.SetRegisterRequest(register_id=key, value=value, **fields)
    return bool((await objects.SetRegister(request, NOBODY)).applied)


async def register(objects: Objects, key: str) -> pb.GetRegisterResponse:
    response: pb.GetRegisterResponse = await objects.GetRegister(pb.GetRegisterRequest(register_id=key), NOBODY)
    return response


async def switch(objects: Objects, key: str, *, enabled: bool, **fields: Any) -> bool:
    return bool((await objects.SetFlag(pb.SetFlagRequest(flag_id=key, enabled=enabled, **fields), NOBODY)).enabled)


async def flag(objects: Objects, key: str) -> bool:
    return bool((await objects.GetFlag(pb.GetFlagRequest(flag_id=key), NOBODY)).enabled)


async def delete(objects: Objects, key: str) -> bool:
    return bool((await objects.Delete(pb.DeleteRequest(key=key), NOBODY)).deleted)


async def test_counters_count_and_keep_their_kind() -> None:
    async with opened() as (objects, _):
        assert await counter(objects, "c") == (0, pb.COUNTER_KIND_UNSPECIFIED)
        assert [await count(objects, "c", 5), await uncount(objects, "c", 7)] == [5, -2]
        assert await counter(objects, "c") == (-2, pb.POSITIVE_NEGATIVE_COUNTER)
        assert await count(objects, "g", 3, kind=pb.GROW_ONLY_COUNTER) == 3
        assert await count(objects, "g", 1) == 4
        with pytest.raises(WrongType, match="a grow-only counter cannot be decremented"):
            await uncount(objects, "g", 0)
        with pytest.raises(WrongType, match="'c' is of type pncounter, not gcounter"):
            await count(objects, "c", 1, kind=pb.GROW_ONLY_COUNTER)
        await count(objects, "full", LARGEST)
        with pytest.raises(CounterOverflow):
            await count(objects, "full", 1)
        with pytest.raises(InvalidArgument, match="amount: -1 is not an integer from 0"):
            await count(objects, "c", -1)


async def test_a_removal_of_an_unseen_element_is_no_write() -> None:
    async with opened() as (objects, mailbox):
        assert [await add(objects, "s", "b"), await add(objects, "s", "a"), await add(objects, "s", "a")] == [1, 1, 0]
        assert await elements(objects, "s") == (["a", "b"], pb.OBSERVED_REMOVE_SET)
        before = mailbox.confirmed.clock
        assert not await remove(objects, "s", "z")
        assert not await remove(objects, "none", "z")
        assert mailbox.confirmed.clock == before
        assert await remove(objects, "s", "a")
        assert await elements(objects, "s") == (["b"], pb.OBSERVED_REMOVE_SET)
        await add(objects, "g", "x", kind=pb.GROW_ONLY_SET)
        with pytest.raises(WrongType, match="nothing can be removed from a grow-only set"):
            await remove(objects, "g", "x")


async def test_a_set_where_removes_win_can_be_named_and_bans_what_nobody_has_added() -> None:
    async with opened() as (objects, mailbox):
        assert not await remove(objects, "ban", "mallory", kind=pb.REMOVE_WINS_SET)
        assert mailbox.confirmed.clock
        assert await add(objects, "ban", "alice", kind=pb.REMOVE_WINS_SET)
        assert await elements(objects, "ban") == (["alice"], pb.REMOVE_WINS_SET)
        with pytest.raises(WrongType, match="'ban' is of type rwset, not orset"):
            await remove(objects, "ban", "alice", kind=pb.OBSERVED_REMOVE_SET)


async def test_a_flag_where_disabling_wins_can_be_named() -> None:
    async with opened() as (objects, mailbox):
        assert not await switch(objects, "f", enabled=False, kind=pb.DISABLE_WINS_FLAG)
        assert mailbox.confirmed.clock, "to disable it is a write, though nobody has enabled it"
        assert await switch(objects, "f", enabled=True, kind=pb.DISABLE_WINS_FLAG)
        assert await flag(objects, "f")
        with pytest.raises(WrongType, match="'f' is of type dwflag, not ewflag"):
            await switch(objects, "f", enabled=True, kind=pb.ENABLE_WINS_FLAG)


async def test_an_explicit_timestamp_is_honoured_zero_included() -> None:
    async with opened() as (objects, _):
        assert await write(objects, "r", "zero", timestamp=0)
        shown = await register(objects, "r")
        assert (list(shown.values), shown.timestamp, shown.HasField("timestamp")) == (["zero"], 0, True)
        assert not await write(objects, "r", "older", timestamp=-1)
        assert await write(objects, "r", "newer", timestamp=1)
        assert list((await register(objects, "r")).values) == ["newer"]
        assert await write(objects, "m", "v")
        shown = await register(objects, "m")
        assert (list(shown.values), shown.kind, shown.HasField("timestamp")) == (["v"], pb.MULTI_VALUE_REGISTER, False)


async def test_flags_and_deletes() -> None:
    async with opened() as (objects, _):
        assert not await flag(objects, "f")
        assert await switch(objects, "f", enabled=True)
        assert await flag(objects, "f")
        assert not await switch(objects, "f", enabled=False)
        assert not await delete(objects, "f")
        await add(objects, "s", "x")
        with pytest.raises(WrongType, match="not ewflag or dwflag"):
            await flag(objects, "s")
        assert [await delete(objects, "s"), await delete(objects, "s")] == [True, False]
        assert await elements(objects, "s") == ([], pb.SET_KIND_UNSPECIFIED)


async def test_a_read_does_not_wait_for_the_commit_under_way_and_does_not_show_it() -> None:
    store = SlowStore()
    async with opened(store) as (objects, _):
        writing = asyncio.create_task(count(objects, "c", 1))
        await store.committing.wait()
        assert await counter(objects, "c") == (0, 0)
        store.back.set()
        assert await writing == 1
        assert await counter(objects, "c") == (1, pb.POSITIVE_NEGATIVE_COUNTER)


async def test_what_expires_by_a_command_of_redis_expires_over_grpc() -> None:
    async with opened() as (objects, mailbox):
        await add(objects, "s", "old")
        soon = Invocation(COMMANDS[b"PEXPIREAT"], [b"s", b"%d" % (wall_ms() + 30)], wall_ms())
        assert await mailbox.call(soon) == 1

        async def gone() -> bool:
            return await elements(objects, "s") == ([], 0)

        await wait_until_async(gone, what="the set to expire")
        assert not await remove(objects, "s", "old")
        assert await add(objects, "s", "new")
        assert (await elements(objects, "s"))[0] == ["new"]
        left = Invocation(COMMANDS[b"TTL"], [b"s"], wall_ms())
        assert await mailbox.call(left) == -1


async def test_a_batch_is_one_commit() -> None:
    async with opened() as (objects, mailbox):
        request = pb.BatchRequest(
            operations=[
                pb.BatchedOperation(add_to_set=pb.AddToSetRequest(set_id="s", element="x")),
                pb.BatchedOperation(get_set=pb.GetSetRequest(set_id="s")),
                pb.BatchedOperation(get_counter=pb.GetCounterRequest(counter_id="s")),
            ]
        )
        added, shown, refused = (await objects.Batch(request, NOBODY)).results
        assert (added.add_to_set.added, list(shown.get_set.elements)) == (True, ["x"])
        assert "'s' is of type orset" in refused.error.message
        assert mailbox.confirmed.clock == {"n1": 1}


# Both faces of a real node


def test_what_is_written_over_grpc_can_be_typed_in_redis_cli_and_the_other_way_round(shared_fleet: Fleet) -> None:
    node = shared_fleet["n1"]
    node.increment("faces:c", 5, kind=pb.GROW_ONLY_COUNTER)
    node.set("faces:r", "old", timestamp=0)
    with closing(Redis(port=node.resp_port, protocol=3)) as redis:
        typed = redis.execute_command
        assert typed("DELTAIC.COUNTER.ADD", "faces:c", 2) == 7
        assert typed("DELTAIC.COUNTER.GET", "faces:c") == {b"kind": b"gcounter", b"value": 7}
        assert typed("DELTAIC.REGISTER.SET", "faces:r", "older", "TIMESTAMP", -1) == 0
        assert typed("DELTAIC.REGISTER.GET", "faces:r")[b"timestamp"] == 0
        assert typed("DELTAIC.SET.ADD", "faces:s", "x", "KIND", "gset") == 1
        assert typed("DELTAIC.FLAG.SET", "faces:f", 1) == 1
        assert typed("DELTAIC.INSPECT", "faces:s")[b"value"] == b'["x"]'
        with pytest.raises(ResponseError, match=r"^WRONGTYPE .*: a grow-only counter cannot be decremented$"):
            typed("DELTAIC.COUNTER.SUBTRACT", "faces:c", 1)
        with pytest.raises(ResponseError, match=r"wrong number of arguments for 'deltaic\.counter\.get' command"):
            typed("DELTAIC.COUNTER.GET")
        with redis.pipeline(transaction=True) as transaction:
            transaction.execute_command("DELTAIC.COUNTER.ADD", "faces:c", 1)
            transaction.execute_command("DELTAIC.SET.REMOVE", "faces:s", "x")
            transaction.execute_command("DELTAIC.SET.GET", "faces:s")
            counted, refused, members = transaction.execute(raise_on_error=False)
        assert (counted, members) == (8, {b"kind": b"gset", b"members": [b"x"]})
        assert isinstance(refused, ResponseError)
    assert (node.counter("faces:c"), node.elements("faces:s"), node.values("faces:r")) == (8, ["x"], {"old"})
    assert node.objects.GetFlag(pb.GetFlagRequest(flag_id="faces:f"), timeout=10).enabled
