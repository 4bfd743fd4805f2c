"""The sweep of a node: expired keys are deleted as one more caller of the mailbox, and replicated like any delete."""

from __future__ import annotations

import asyncio

from crdt_core.commands import DeleteExpired
from tests.invocations import command
from tests.support import wait_until_async
from tests.workers.mailboxes import QuickStore, end, open_mailbox
from workers.jobs.expiry import sweep
from workers.system.clock import wall_ms

PAST_MS = 1


async def test_what_has_expired_is_deleted_and_the_rest_stays() -> None:
    store = QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    far_ms = wall_ms() + 3_600_000
    for key, deadline_ms in ((b"old", PAST_MS + 1), (b"young", far_ms)):
        await mailbox.call(command("SET", key, b"v", wall_ms=PAST_MS))
        await mailbox.call(command("PEXPIREAT", key, str(deadline_ms).encode(), wall_ms=PAST_MS))
    await mailbox.call(command("SET", b"ever", b"v"))
    sweeping = asyncio.create_task(sweep(mailbox))
    replica = mailbox.node.replica
    await wait_until_async(lambda: not replica.showing(b"old"))
    assert (bool(replica.showing(b"young")), bool(replica.showing(b"ever"))) == (True, True)
    sweeping.cancel()
    await end(mailbox, turns, store)


async def test_a_sweep_looks_at_no_more_keys_than_it_is_told() -> None:
    store = QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=60)
    for number in range(5):
        await mailbox.call(command("SET", b"%d" % number, b"v", wall_ms=PAST_MS))
        await mailbox.call(command("PEXPIREAT", b"%d" % number, b"2", wall_ms=PAST_MS))
    assert [await mailbox.call(DeleteExpired(wall_ms(), looks=3)) for _ in range(2)] == [3, 2]
    await end(mailbox, turns, store)
