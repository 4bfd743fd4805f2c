"""Spoilt lines into a Maelstrom node: it answers each, or says nothing, and goes on."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import DELTA, MESSAGES
from workers.maelstrom.process import MaelstromOptions, _Process
from workers.maelstrom.protocol import Channel
from workers.maelstrom.workloads import WORKLOADS

INIT = b'{"src":"c1","dest":"here","body":{"type":"init","msg_id":1,"node_id":"here","node_ids":["here","n1","n2"]}}'


def line(**body: Any) -> bytes:
    return json.dumps({"src": "n1", "dest": "here", "body": body}, separators=(",", ":")).encode()


LINES = [
    INIT,
    line(type="echo", msg_id=2, echo=[1, {"a": None}]),
    line(type="add", msg_id=3, element={"a": [1.5, "x"]}, delta=3),
    line(type="broadcast", msg_id=4, message=7),
    line(type="or_set_add", msg_id=5, element="a"),
    line(type="or_set_remove", msg_id=6, element="a"),
    line(type="merge", msg_id=7, elements=[1, "a", None]),
    line(type="gossip_sync", msg_id=8, messages=[1, 2]),
    line(type="gossip", msg_id=9, counters={"n1": 3, "n2": 4}),
    line(type="read", msg_id=10),
    line(type="or_set_read", msg_id=11),
    line(type="topology", msg_id=12, topology={"here": ["n1"]}),
    line(type="deltaic_deltas", deltas=[DELTA.decode()]),
    *(line(type="deltaic_message", message=message.decode()) for message in MESSAGES),
]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_spoilt_lines_are_answered_or_left_and_the_node_goes_on(workload: str) -> None:
    @settings(max_examples=60, derandomize=True, database=None, deadline=None)
    @given(st.lists(mutated(LINES), max_size=6))
    def run(lines: list[bytes]) -> None:
        asyncio.run(session(workload, lines))

    run()


async def session(workload: str, lines: list[bytes]) -> None:
    """One node: `init`, the lines, then a request that it has to answer."""
    said: list[str] = []
    stopped: list[bool] = []
    async with AsyncExitStack() as stack:
        options = MaelstromOptions(interval_ms=60_000)
        process = _Process(workload, options, Channel(said.append), stack, lambda: stopped.append(True))
        for text in (INIT, *lines):
            await process.take(text)
        assert all(isinstance(json.loads(text), dict) for text in said)
        assert stopped == []
        said.clear()
        await process.take(line(type="no such request", msg_id=99))
        assert json.loads(said[-1])["body"]["in_reply_to"] == 99
        await process.end()
