"""The reads of a transaction share a bound, and only where it may be reached are they measured."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.commands import ErrorReply, Execute
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from tests.invocations import lookup
from workers.config.settings import LimitSettings
from workers.resp.read_budget import within_budget

LIMITS = LimitSettings(output_bytes_max=1 << 20, value_bytes_max=1 << 17)


def queued(*lines: tuple[bytes, ...]) -> list[Any]:
    return [(lookup(words[0], list(words[1:])), list(words[1:])) for words in lines]


def test_a_few_reads_of_single_values_are_not_measured() -> None:
    commands = queued((b"SET", b"k", b"v"), *[(b"GET", b"k")] * 7)
    assert within_budget(commands, LIMITS) == commands


@pytest.mark.parametrize("line", [(b"SMEMBERS", b"s"), (b"MGET", b"k", b"k"), (b"HGETALL", b"h")])
def test_one_read_of_many_values_makes_all_reads_be_measured(line: tuple[bytes, ...]) -> None:
    commands = queued((b"SET", b"k", b"v"), (b"GET", b"k"), line)
    measured = within_budget(commands, LIMITS)
    assert [one[0] is other[0] for one, other in zip(commands, measured, strict=True)] == [True, False, False]
    assert [command.name for command, _ in measured] == [b"SET", b"GET", line[0]]


def test_from_the_first_read_that_does_not_fit_all_reads_are_refused_even_small_ones() -> None:
    replica = Replica("n1")
    Execute(queued((b"SET", b"k", b"v" * 100_000), (b"SET", b"small", b"v")), 1, 1).run(replica, Stamp(1, 0))
    lines = [*[(b"GET", b"k")] * 11, (b"GET", b"small"), (b"INCR", b"c")]
    replies = Execute(within_budget(queued(*lines), LIMITS), 1, 1).run(replica, Stamp(2, 0))
    assert replies[:10] == [b"v" * 100_000] * 10
    assert [type(reply) for reply in replies[10:12]] == [ErrorReply, ErrorReply]
    assert replies[12] == 1
