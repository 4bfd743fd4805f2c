"""Spoilt lines into a Maelstrom node: it answers each, or says nothing, and goes on."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from contextlib import redirect_stdout
from tempfile import TemporaryFile
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import DELTA, MESSAGES
from workers.maelstrom.process import MaelstromOptions, run_maelstrom
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
    """One node: `init`, the lines, then a request that it has to answer, and the end of the input."""
    last = line(type="no such request", msg_id=99)
    output = io.StringIO()
    with TemporaryFile() as stdin:
        stdin.write(b"".join(text + b"\n" for text in (INIT, *lines, last)))
        stdin.seek(0)
        with patch.object(sys, "stdin", stdin), redirect_stdout(output):
            await run_maelstrom(workload, MaelstromOptions(interval_ms=60_000), lambda _event, **_fields: None)
    said = [json.loads(text) for text in output.getvalue().splitlines()]
    assert all(isinstance(message, dict) for message in said)
    assert 99 in [message["body"].get("in_reply_to") for message in said]
