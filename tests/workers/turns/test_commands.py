"""Commands at a mailbox: a read at once or in a turn, a write in a turn, errors as they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import COMMANDS, CommandOptions
from crdt_core.errors import Stopping, StoreUnavailable, TooLarge, WrongType
from tests.support import wait_until_async
from tests.workers.mailboxes import QuickStore, SlowStore, end, open_mailbox
from workers.system.clock import wall_ms
from workers.turns.commands import CommandRunner

if TYPE_CHECKING:
    from crdt_core.commands import Reply


async def run(runner: CommandRunner, *words: bytes) -> Reply:
    return await runner.run(COMMANDS[words[0]], list(words[1:]))


async def test_a_read_is_answered_at_once_and_one_in_a_turn_waits_for_what_came_before() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    runner = CommandRunner(mailbox)
    written = asyncio.create_task(run(runner, b"INCR", b"k"))
    await store.committing.wait()
    assert await run(runner, b"GET", b"k") is None
    in_turn = asyncio.create_task(runner.run_in_turn(COMMANDS[b"GET"], [b"k"]))
    await asyncio.sleep(0)
    assert not in_turn.done()
    store.back.set()
    assert (await written, await in_turn, await run(runner, b"GET", b"k")) == (1, b"1", b"1")
    await end(mailbox, turns, store)


async def test_a_refused_command_raises_its_error_read_or_written() -> None:
    mailbox, turns = open_mailbox(store := QuickStore(), call_timeout_s=60)
    runner = CommandRunner(mailbox, CommandOptions(value_bytes_max=5))
    await run(runner, b"SADD", b"s", b"x")
    for words in ((b"DELTAIC.COUNTER.ADD", b"s", b"1"), (b"DELTAIC.COUNTER.GET", b"s")):
        with pytest.raises(WrongType, match="'s' is of type orset"):
            await run(runner, *words)
    with pytest.raises(TooLarge):
        await run(runner, b"APPEND", b"k", b"longer than five")
    await end(mailbox, turns, store)
    for name in (b"GET", b"DEL"):
        with pytest.raises(Stopping):
            await run(runner, name, b"s")


async def test_a_write_that_is_not_confirmed_says_so() -> None:
    mailbox, turns = open_mailbox(store := SlowStore(), call_timeout_s=0.02)
    with pytest.raises(StoreUnavailable, match="may still take effect"):
        await run(CommandRunner(mailbox), b"INCR", b"k")
    await end(mailbox, turns, store)


async def test_commands_run_at_the_time_of_day() -> None:
    mailbox, turns = open_mailbox(store := QuickStore(), call_timeout_s=60)
    runner = CommandRunner(mailbox)
    await run(runner, b"SET", b"k", b"v", b"PXAT", b"%d" % (wall_ms() + 60_000))
    assert await run(runner, b"GET", b"k") == b"v"
    await run(runner, b"PEXPIREAT", b"k", b"%d" % (wall_ms() + 20))

    async def gone() -> bool:
        return await run(runner, b"EXISTS", b"k") == 0

    await wait_until_async(gone, what="the key to expire")
    assert await run(runner, b"APPEND", b"k", b"new") == 3
    await end(mailbox, turns, store)
