"""Real nodes under the project's own bench: on a bad network nothing is lost or made up, and everybody is served.

Runs are short; `BENCH_TIME_LIMIT_S=30` makes them longer, and puts every workload on 25 nodes. Figures are printed
(`pytest -s`); messages per operation are asserted, latencies are not, as they tell as much about the machine.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.workers.maelstrom.bench import Settings, run
from tests.workers.maelstrom.checks import (
    Operation,
    availability_problems,
    counter_problems,
    set_problems,
    shape_problem,
    stable_latencies_ms,
)
from tests.workers.maelstrom.network import Faults

if TYPE_CHECKING:
    from pathlib import Path

TIME_LIMIT_S = float(os.environ.get("BENCH_TIME_LIMIT_S", "3"))
WORKLOADS = ["g-set", "g-counter", "pn-counter", "broadcast"]

BAD_NETWORK = Faults(latency_ms=20, latency="exponential", lost=0.1, doubled=0.1, reordered=0.1)
BAD = Settings(rate=60, time_limit_s=TIME_LIMIT_S, partition_s=TIME_LIMIT_S / 5, faults=BAD_NETWORK)
LARGE = Settings(nodes=25, rate=100, time_limit_s=max(8, TIME_LIMIT_S), faults=Faults(latency_ms=100))
QUICK_ROUNDS = ("--interval-ms", "300")


@pytest.mark.parametrize("workload", WORKLOADS)
async def test_nothing_is_lost_or_made_up_under_partitions_loss_and_duplication(workload, tmp_path):
    """At three and at five nodes, side by side."""
    settings = [replace(BAD, workload=workload, nodes=nodes, options=QUICK_ROUNDS) for nodes in (3, 5)]
    for report in await asyncio.gather(*(run(one, subdirectory(tmp_path, one.nodes)) for one in settings)):
        assert not report.problems
        assert report.partitions
        assert report.in_doubt == 0


@pytest.mark.parametrize("workload", WORKLOADS if "BENCH_TIME_LIMIT_S" in os.environ else ["broadcast"])
async def test_twenty_five_nodes_survive_partitions_loss_and_duplication(workload, tmp_path):
    report = await run(replace(BAD, workload=workload, nodes=25, settle_s=120), tmp_path)
    assert not report.problems
    assert report.partitions


@pytest.mark.parametrize(("options", "messages_max"), [((), 12), (("--batch-ms", "150"), 4)], ids=["default", "few"])
async def test_broadcast_at_twenty_five_nodes_is_thrifty(options, messages_max, tmp_path):
    report = await run(replace(LARGE, options=options), tmp_path)
    print("", *report.lines(), sep="\n")
    assert not report.problems
    assert report.messages_per_operation < messages_max


async def test_nodes_killed_and_started_again_lose_nothing_they_acknowledged(server, tmp_path):
    settings = [
        Settings(
            workload,
            nodes=3,
            rate=60,
            time_limit_s=max(5, TIME_LIMIT_S),
            kill_s=1,
            options=("--redis", f"{server.url.rpartition('/')[0]}/{database}", *QUICK_ROUNDS),
        )
        for database, workload in enumerate(["g-set", "pn-counter"])
    ]
    for report in await asyncio.gather(*(run(one, subdirectory(tmp_path, one.workload)) for one in settings)):
        assert not report.problems
        assert report.kills


def subdirectory(directory: Path, name: object) -> Path:
    """A new directory in `directory`."""
    new = directory / str(name)
    new.mkdir()
    return new


# The checks see what they are for


def wrote(value: int, *, acknowledged: bool = True) -> Operation:
    return Operation("n0", value, began=1.0, ended=2.0 if acknowledged else None)


def test_a_lost_a_made_up_and_a_doubled_element_are_seen():
    history = [wrote(1), wrote(2, acknowledged=False)]
    assert not set_problems(history, {"n0": [1], "n1": [1]})
    assert not set_problems(history, {"n0": [2, 1], "n1": [1, 2]})
    for final in ([], [2], [1, 3], [1, 1]):
        assert set_problems(history, {"n0": final, "n1": final})
    assert set_problems(history, {"n0": [1], "n1": [1, 2]})


def test_an_element_shown_before_it_was_written_is_made_up():
    early = Operation("n0", None, began=0.0, ended=0.5, result=[1])
    assert set_problems([wrote(1), early], {"n0": [1]})


def test_a_counter_that_does_not_add_up_is_seen():
    history = [wrote(5), wrote(-2), wrote(3, acknowledged=False), wrote(-1, acknowledged=False)]
    for value in range(2, 7):
        assert not counter_problems(history, {"n0": value, "n1": value})
    for value in (1, 7):
        assert counter_problems(history, {"n0": value, "n1": value})
    assert counter_problems(history, {"n0": 3, "n1": 4})


def test_a_request_that_was_not_served_is_seen_unless_its_node_was_killed():
    failed = wrote(1, acknowledged=False)
    assert availability_problems([wrote(2), failed])
    assert not availability_problems([wrote(2), replace(failed, excused=True)])


def test_the_stable_latency_ends_with_the_last_read_that_missed():
    reads = [
        Operation("n1", None, began=2.1, ended=2.2, result=[]),
        Operation("n2", None, began=2.4, ended=2.5, result=[]),
        Operation("n1", None, began=2.7, ended=2.8, result=[1]),
    ]
    assert stable_latencies_ms([wrote(1), *reads]) == [pytest.approx(400)]
    assert stable_latencies_ms([wrote(1)]) == [0]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "read_ok", "in_reply_to": 1, "msg_id": 1},
        {"type": "read_ok", "in_reply_to": 1, "msg_id": 1, "value": [], "more": 1},
        {"type": "read_ok", "in_reply_to": 1, "msg_id": 1, "value": 7},
        {"type": "add_ok", "in_reply_to": 1, "msg_id": 1},
        {"type": "error", "in_reply_to": 1, "msg_id": 1, "code": 12},
    ],
)
def test_a_reply_of_the_wrong_shape_is_seen(body):
    assert shape_problem("g-set", "read", body)
    assert not shape_problem("g-set", "read", {"type": "read_ok", "in_reply_to": 1, "msg_id": 1, "value": []})
