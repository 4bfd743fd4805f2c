"""Links: only `paused` pauses, the node is told of changes, and a Redis that has lost commits is not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import CorruptState, StoreUnavailable
from tests.support import free_port, wait_until_async
from workers.replication.links import Links
from workers.wire.outages import Outages
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from tests.workers.replication.bench import Bench


async def test_a_peer_without_a_field_is_open_and_only_one_word_pauses(bench: Bench) -> None:
    assert await bench.links.refresh() == frozenset()
    for state, paused in (("paused", {"n2"}), ("open", set()), ("Paused", set()), ("paused", {"n2"}), ("", set())):
        await bench.redis.hset(bench.keys.links, "n2", state)
        assert await bench.links.refresh() == paused


async def test_the_node_is_told_of_every_change(bench: Bench) -> None:
    bench.start()
    assert await bench.links.set(["n2"], paused=True) == {"n2": "paused"}
    await wait_until_async(lambda: bench.node.paused == {"n2"}, what="the node to know")
    assert await bench.links.set(["n2"], paused=False) == {"n2": "open"}
    await wait_until_async(lambda: bench.node.paused == set(), what="the node to know")


async def test_a_change_by_redis_cli_is_noticed_while_nothing_is_read(bench: Bench) -> None:
    bench.start(bench.links.watch())
    await bench.redis.hset(bench.keys.links, "n2", "paused")
    await wait_until_async(lambda: bench.node.paused == {"n2"}, what="the node to know")


async def test_setting_no_link_changes_nothing(bench: Bench) -> None:
    assert await bench.links.set([], paused=True) == {"n2": "open"}
    assert not await bench.redis.exists(bench.keys.links)


async def test_a_redis_that_has_lost_commits_is_not_believed_about_links(bench: Bench) -> None:
    """It may have forgotten who was paused: the node goes on with what it knew, and looks after its Redis."""
    bench.start()
    await bench.links.set(["n2"], paused=True)
    await bench.commit()
    suspected: list[bool] = []
    bench.mailbox.suspect = lambda: suspected.append(True)  # type: ignore[method-assign]
    await bench.redis.delete(bench.keys.header, bench.keys.links)
    assert await bench.links.refresh() == {"n2"}
    assert suspected
    await bench.redis.hset(bench.keys.header, mapping={"owner": "token", "turn": bench.store.turn})


async def test_a_turn_that_somebody_has_made_unreadable_is_named(bench: Bench) -> None:
    """It ended the worker with a traceback."""
    await bench.redis.hset(bench.keys.header, "turn", "many")
    with pytest.raises(CorruptState, match=r"deltaic:\{n1\} cannot be read: .*turn b'many' is no number"):
        await bench.links.refresh()


async def test_links_of_another_kind_cannot_be_read(bench: Bench) -> None:
    await bench.redis.set(bench.keys.links, "a string")
    with pytest.raises(StoreUnavailable, match=r"the links cannot be read: .*WRONGTYPE"):
        await bench.links.refresh()


async def test_where_redis_is_away_the_last_known_links_are_still_there(bench: Bench) -> None:
    away = ReconnectingConnection(f"redis://127.0.0.1:{free_port()}/0", "deltaic-reader-n1", 1, Outages())
    links = Links(bench.redis, away, bench.mailbox)
    links.paused = frozenset({"n2"})
    with pytest.raises(StoreUnavailable, match="the links cannot be read"):
        await links.read()
    assert await links.last_known() == {"n2": "paused"}
