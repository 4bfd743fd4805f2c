"""Waiting for turns: whoever waits looks again after each, and a task that is gone waits no more."""

from __future__ import annotations

import asyncio

import pytest

from workers.turns.turned import Turned


async def test_what_holds_already_is_not_waited_for() -> None:
    await Turned().wait_for(lambda: True)


async def test_whoever_waits_looks_again_after_every_turn_until_it_holds() -> None:
    turned, looks, seen = Turned(), [False, False, True], []

    def holds() -> bool:
        seen.append(looks[len(seen)])
        return seen[-1]

    waiting = asyncio.create_task(turned.wait_for(holds))
    for number in (1, 2, 3):
        await asyncio.sleep(0)
        assert len(seen) == number
        turned.notify()
    await waiting
    assert seen == looks


async def test_many_wait_side_by_side() -> None:
    turned, here = Turned(), {1}
    waiting = [asyncio.create_task(turned.wait_for(lambda number=number: number in here)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    here.add(3)
    turned.notify()
    await asyncio.gather(waiting[0], waiting[2])
    assert not waiting[1].done()
    waiting[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]


async def test_a_task_that_gave_up_does_not_hinder_the_others() -> None:
    turned, here = Turned(), []
    gone = asyncio.create_task(turned.wait_for(lambda: bool(here)))
    waiting = asyncio.create_task(turned.wait_for(lambda: bool(here)))
    await asyncio.sleep(0)
    gone.cancel()
    here.append(1)
    turned.notify()
    await waiting
    assert gone.cancelled()


async def test_whoever_waits_is_not_woken_to_look() -> None:
    """Every turn once woke every task that waited, only to have it wait again."""
    turned, looking = Turned(), []

    def holds() -> bool:
        looking.append(asyncio.current_task())
        return len(looking) > 3

    waiting = asyncio.create_task(turned.wait_for(holds))
    await asyncio.sleep(0)
    turned.notify()
    turned.notify()
    assert looking == [waiting, *[asyncio.current_task()] * 2]
    turned.notify()
    await waiting


async def test_a_task_that_gave_up_is_forgotten_at_once() -> None:
    turned = Turned()
    gone = asyncio.create_task(turned.wait_for(lambda: False))
    await asyncio.sleep(0)
    assert len(turned.waiting) == 1
    gone.cancel()
    await asyncio.wait([gone])
    assert not turned.waiting


async def test_who_cannot_tell_whether_it_holds_hears_why_and_hinders_nobody() -> None:
    turned, here = Turned(), [1]
    failing = asyncio.create_task(turned.wait_for(lambda: here[0] > 1))
    waiting = asyncio.create_task(turned.wait_for(lambda: not here))
    await asyncio.sleep(0)
    here.clear()
    turned.notify()
    await waiting
    with pytest.raises(IndexError):
        await failing
