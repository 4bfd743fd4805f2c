"""How long until a peer shows what was written, beside the least that a Redis stream could do it in.

A probe is one INCR at n1; n2 tells of it by a keyspace notification, which it sends once its own Redis has confirmed
that commit, so that a GET there shows it. The clock runs from the moment the command is sent. A bare hop is one XADD
and the XREAD that is blocked for it, timed likewise, on the server that the peer tails. One thread waits for both ends:
no other has to be woken up to notice.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from bench.errors import MeasurementFailed
from bench.figures import Figure
from bench.line import ANSWER_S, Line, meet
from bench.load import RANDOM, Load, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.options import Options
    from bench.processes import Site

__all__ = ["Latency", "LatencyUnderLoad"]

KEY, STREAM, PAYLOAD = b"bench:probe", b"bench:hop", b"x" * 100
ADD = (b"XADD", STREAM, b"MAXLEN", b"~", b"100", b"*", b"d", PAYLOAD)
REST_S = 0.003  # between probes: everybody waits again
AGAINST = "one XADD-to-XREAD hop"
LOADED = Load(("INCR", f"counter:{RANDOM}"))


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds after sending: until the writer had its reply, and until the reader had heard of it."""

    acknowledged: float
    visible: float


def timed(writer: Line, words: Sequence[bytes], reader: Line) -> tuple[Times, Any]:
    """One write, and what the reader heard."""
    heard: Any = None
    moments: dict[Line, float] = {}
    begun = time.perf_counter()
    writer.send(*words)
    while len(moments) < 2:
        ready, _, _ = select.select([line for line in (writer, reader) if line not in moments], [], [], ANSWER_S)
        if not ready:
            raise MeasurementFailed(f"a write was not heard of within {ANSWER_S:g} s")
        for line in ready:
            reply = line.receive()
            moments[line] = time.perf_counter() - begun
            heard = reply if line is reader else heard
    return Times(moments[writer], moments[reader]), heard


class Hop:
    """Bare hops on one server."""

    def __init__(self, writer: Line, reader: Line) -> None:
        self._writer, self._reader, self._last = writer, reader, b"0-0"
        self._reader.send(b"XREAD", b"BLOCK", b"0", b"STREAMS", STREAM, self._last)

    def probe(self) -> float:
        """Seconds of one."""
        times, heard = timed(self._writer, ADD, self._reader)
        self._last = heard[0][1][-1][0]
        self._reader.send(b"XREAD", b"BLOCK", b"0", b"STREAMS", STREAM, self._last)
        time.sleep(REST_S)
        return times.visible


class Replicated:
    """Writes at one node that another one tells of."""

    def __init__(self, writer: Line, reader: Line, checker: Line) -> None:
        self._writer, self._reader, self._checker = writer, reader, checker
        self._written = 0
        reader.ask(b"SUBSCRIBE", b"__keyspace@0__:" + KEY)

    def probe(self) -> Times:
        times, _ = timed(self._writer, (b"INCR", KEY), self._reader)
        self._written += 1
        shown = self._checker.ask(b"GET", KEY)
        if int(shown or 0) != self._written:
            raise MeasurementFailed(f"the peer has told of {self._written} and shows {shown!r}")
        time.sleep(REST_S)
        return times


@dataclass(frozen=True, slots=True)
class Latency:
    """Nothing else is going on; bare hops alternate with writes."""

    name: str = "latency"
    what: str = "until a peer shows a write, idle"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        n1, n2 = site.fleet(2)
        meet(n1, n2)
        ours, bare = [], []
        with Line(n1) as writer, Line(n2) as reader, Line(n2) as checker:
            replicated = Replicated(writer, reader, checker)
            with Line(n1.server) as hop_writer, Line(n1.server) as hop_reader:
                hop = Hop(hop_writer, hop_reader)
                for number in range(options.rounds + 1):
                    options.progress(f"round {number} of {options.rounds}" if number else "warming up")
                    pairs = [(replicated.probe(), hop.probe()) for _ in range(options.probes)]
                    ours.append([times for times, _ in pairs])
                    bare.append([seconds for _, seconds in pairs])
        yield from figures("latency-idle", "INCR sent, until a peer shows it, idle", ours[1:], bare[1:])
        since = [[Times(0, times.visible - times.acknowledged) for times in one] for one in ours[1:]]
        yield from figures("latency-commit", "INCR acknowledged, until a peer shows it, idle", since, bare[1:])


@dataclass(frozen=True, slots=True)
class LatencyUnderLoad:
    """50 clients count as fast as they can at the same node; the bare hops meet them at a raw Valkey."""

    name: str = "latency-load"
    what: str = "until a peer shows a write, under load"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        n1, n2 = site.fleet(2)
        raw = site.server()
        meet(n1, n2)
        ours, bare = [], []
        with Line(n1) as writer, Line(n2) as reader, Line(n2) as checker:
            replicated = Replicated(writer, reader, checker)
            with Line(raw) as hop_writer, Line(raw) as hop_reader:
                hop = Hop(hop_writer, hop_reader)
                for number in range(options.rounds + 1):
                    options.progress(f"round {number} of {options.rounds}" if number else "warming up")
                    with running(n1, LOADED):
                        ours.append([replicated.probe() for _ in range(options.probes)])
                    with running(raw, LOADED):
                        bare.append([hop.probe() for _ in range(options.probes)])
        what = "INCR sent, until a peer shows it, 50 clients at work"
        yield from figures("latency-load", what, ours[1:], bare[1:])


def figures(name: str, what: str, ours: Sequence[Sequence[Times]], bare: Sequence[Sequence[float]]) -> Iterator[Figure]:
    """Median and 99th percentile, a sample a round."""
    ours_ms = [[1000 * times.visible for times in one] for one in ours]
    bare_ms = [[1000 * seconds for seconds in one] for one in bare]
    for suffix, title, of in (("", "median", median), ("-p99", "99th percentile", _p99)):
        yield Figure(
            name=name + suffix,
            what=f"{what}: {title}",
            unit="ms",
            ours=[of(one) for one in ours_ms],
            other=[of(one) for one in bare_ms],
            against=AGAINST,
        )


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[-1]
