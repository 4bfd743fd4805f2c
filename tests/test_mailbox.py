"""Callers that give up: what they asked for is not begun any more, and nobody is kept waiting for ever."""

from __future__ import annotations

import asyncio

import pytest

from crdt_core.clocks import VersionVector
from crdt_core.errors import StoreUnavailable
from crdt_core.events import PatchAsked
from crdt_core.node import Node
from crdt_core.operations import AdjustCounter, GetCounter
from crdt_core.replica import Replica
from workers.mailbox import Mailbox

KEY = b"hits"


class SlowStore:
    """A store whose Redis is away until `back` is set."""

    def __init__(self) -> None:
        self.committing = asyncio.Event()
        self.back = asyncio.Event()

    async def commit(self, _commit: object) -> None:
        self.committing.set()
        await self.back.wait()


def open_mailbox(store: SlowStore, *, call_timeout_s: float) -> tuple[Mailbox, asyncio.Task[None]]:
    mailbox = Mailbox(
        Node("n1", Replica("n1", founders=["n1"]), "s"), store, lambda _: None, call_timeout_s=call_timeout_s
    )
    return mailbox, asyncio.create_task(mailbox.run())


async def test_a_call_that_was_given_up_before_its_turn_is_not_begun() -> None:
    """Its caller has probably repeated it. One whose commit was under way may still take effect, and here does."""
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    under_way = asyncio.create_task(mailbox.call(AdjustCounter(KEY, 1)))
    await store.committing.wait()
    waiting = asyncio.create_task(mailbox.call(AdjustCounter(KEY, 10)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    store.back.set()
    assert await under_way == 1
    assert await mailbox.call(GetCounter(KEY)) == (1, "pncounter")
    mailbox.close()
    await turns


async def test_a_patch_is_not_waited_for_longer_than_a_write() -> None:
    store = SlowStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=0.05)
    for make in (
        lambda: mailbox.call(AdjustCounter(KEY, 1)),
        lambda: mailbox.ask_in_time(lambda token: PatchAsked(VersionVector(), token)),
    ):
        with pytest.raises(StoreUnavailable, match="may still take effect"):
            await make()
    store.back.set()
    mailbox.close()
    await turns
