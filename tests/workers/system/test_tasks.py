"""Tasks end when they are told to, even if a cancellation is lost, and no child outlives its parent."""

from __future__ import annotations

import asyncio
import gc

import pytest

from crdt_core.errors import InvariantBroken
from workers.system.tasks import Children, done_before, end, wait_for_first


class LosesOne:
    """Work that swallows its first cancellation, as `asyncio.wait_for` may before Python 3.12."""

    def __init__(self) -> None:
        self.lost = 0
        self.begun = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.lost += 1
        await asyncio.Event().wait()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    """A worker that was fenced, or stopped under load, sometimes never ended: redis-py sends by `asyncio.wait_for`."""
    loses_one = LosesOne()
    task = asyncio.create_task(loses_one())
    await asyncio.wait_for(loses_one.begun.wait(), 10)
    await asyncio.wait_for(end([task]), 10)
    assert task.cancelled()
    assert loses_one.lost == 1


async def test_a_child_that_loses_a_cancellation_does_not_keep_its_parent_from_ending() -> None:
    """A task group cancels its tasks once: a fenced worker that followed its peers in one sometimes never ended."""
    loses_one = LosesOne()

    async def parent() -> None:
        async with Children() as children:
            children.start(loses_one())
            await asyncio.Event().wait()

    task = asyncio.create_task(parent())
    await asyncio.wait_for(loses_one.begun.wait(), 10)
    await asyncio.wait_for(end([task]), 10)
    assert task.cancelled()
    assert loses_one.lost == 1


async def test_a_child_that_fails_ends_its_parent_and_all_other_children() -> None:
    """With its own error, not one around it: by its class the worker knows how to end."""
    others: list[asyncio.Task[None]] = []

    async def fails() -> None:
        raise InvariantBroken("one")

    async def parent() -> None:
        async with Children() as children:
            others.append(children.start(LosesOne()()))
            children.start(fails())
            await asyncio.Event().wait()

    with pytest.raises(InvariantBroken, match="one"):
        await asyncio.wait_for(parent(), 10)
    assert others[0].cancelled()


async def test_a_child_that_was_ended_by_hand_does_not_end_its_parent() -> None:
    async def parent() -> str:
        async with Children() as children:
            child = children.start(asyncio.Event().wait())
            await asyncio.sleep(0)  # the child is under way
            child.cancel()
            await asyncio.wait([child])
            await asyncio.sleep(0)  # whatever its end sets off has its turn
        return "went on"

    assert await asyncio.wait_for(parent(), 10) == "went on"


async def test_children_that_fail_together_leave_no_complaint_behind() -> None:
    """A worker that ended in good order once filled its log with errors that nobody had looked at."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fails() -> None:
        raise InvariantBroken("one of many")

    async def parent() -> None:
        async with Children() as children:
            for _ in range(3):
                children.start(fails())
            await asyncio.Event().wait()

    with pytest.raises(InvariantBroken, match="one of many"):
        await asyncio.wait_for(parent(), 10)
    gc.collect()
    assert not complaints


async def test_waiting_for_the_first_of_several_raises_nothing_however_it_ended() -> None:
    async def fails() -> None:
        raise InvariantBroken("first")

    failing, waiting = asyncio.create_task(fails()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait_for(wait_for_first(failing, waiting), 10)
    assert failing.done()
    assert not waiting.done()
    await end([failing, waiting])


async def test_work_that_ends_before_the_stop_is_done_and_its_error_is_raised() -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert await done_before(stop, asyncio.create_task(asyncio.sleep(0)))

    async def fails() -> None:
        raise InvariantBroken("one")

    with pytest.raises(InvariantBroken, match="one"):
        await done_before(stop, asyncio.create_task(fails()))


async def test_work_that_the_stop_overtakes_has_ended_even_if_it_loses_a_cancellation() -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    stop.set_result(None)
    work = asyncio.create_task(LosesOne()())
    assert not await asyncio.wait_for(done_before(stop, work), 10)
    assert work.cancelled()
