"""Clients that mean ill, or do not know better: memory stays bounded, and others notice nothing.

While they are at it, a `Probe` goes on asking, and all that it asks is answered, and soon. `pytest -s` prints what the
worker's memory came to.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.fleet import Fleet
from tests.support import cpu_s, resident_bytes, wait_until
from tests.workers.resp.raw import Raw, packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet import Node

MEGABYTE = 1 << 20
CONNECTIONS_MAX = 300
WORK_S_MAX = 5
"""Of the worker's processor time, so much at most may pass until the probe is answered."""


@pytest.fixture(scope="module")
def lone(tmp_path_factory) -> Iterator[Node]:
    """One node, whose Redis face takes few connections and little unread output."""
    limits = {"connections_max": CONNECTIONS_MAX, "output_bytes_max": 4 * MEGABYTE, "message_bytes_max": 8 * MEGABYTE}
    with Fleet(tmp_path_factory.mktemp("abuse"), nodes=1, limits=limits) as fleet:
        yield fleet["n1"]


def open_files(node: Node) -> int:
    return len(list(Path(f"/proc/{node.pid}/fd").iterdir()))


def check_others_are_served(node: Node) -> None:
    """A client that behaves is answered."""
    with Raw(node.resp_port) as raw:
        for number in range(20):
            assert raw.call(b"SET", b"other", b"%d" % number) == b"OK"
            assert raw.call(b"GET", b"other") == b"%d" % number


class Probe:
    """A client that behaves, for as long as the context lasts: it writes and reads, and checks every answer."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.answers = 0
        self.slowest_s = 0.0
        self._resident_before = self._resident_most = resident_bytes(node.pid)
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.answers or self._failure, what="the probe's first answer")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self._failure is None, repr(self._failure)
        assert self.slowest_s < WORK_S_MAX
        print(
            f"probe: {self.answers} answers, slowest after {self.slowest_s * 1000:.0f} ms of work;"
            f" worker: {self._resident_before >> 20} MB, then at most {self._resident_most >> 20} MB"
        )

    @property
    def grown_bytes(self) -> int:
        """By how much the worker's memory has grown at most since it began."""
        self._resident_most = max(self._resident_most, resident_bytes(self._node.pid))
        return self._resident_most - self._resident_before

    def wait_for_answers(self, more: int = 50) -> None:
        target = self.answers + more
        wait_until(lambda: self.answers >= target or self._failure, 60, "the probe to be answered")

    def _ask(self) -> None:
        try:
            with Raw(self._node.resp_port) as raw:
                while not self._stop.is_set():
                    began = cpu_s(self._node.pid)
                    assert raw.call(b"SET", b"probe", b"%d" % self.answers) == b"OK"
                    assert raw.call(b"GET", b"probe") == b"%d" % self.answers
                    self.slowest_s = max(self.slowest_s, cpu_s(self._node.pid) - began)
                    self.answers += 1
                    self._resident_most = max(self._resident_most, resident_bytes(self._node.pid))
        except (AssertionError, EOFError, OSError) as failure:
            self._failure = failure


def connected_clients(node: Node) -> int:
    with Raw(node.resp_port) as raw:
        info = raw.call(b"INFO", b"clients")
    if not isinstance(info, bytes):
        return CONNECTIONS_MAX
    return int(info.split(b"connected_clients:")[1].split(b"\r\n")[0])


def test_ten_thousand_connections_opened_and_closed(lone: Node) -> None:
    """Closed politely, reset, in the middle of a request, or with an answer on its way."""
    files, before = open_files(lone), 0
    with Probe(lone) as probe:
        for number in range(10_000):
            abandon_a_connection(lone, number % 4)
            if number % 100 == 0:  # not faster than the worker gets to know that they are gone
                wait_until(lambda: connected_clients(lone) < CONNECTIONS_MAX // 2, 30, "room for more")
            if number == 1000:
                before = probe.grown_bytes
        wait_until(lambda: connected_clients(lone) == 2, 30, "the connections to be gone")
        with Raw(lone.resp_port) as raw:
            stats = raw.call(b"INFO", b"stats")
        assert int(stats.split(b"total_connections_received:")[1].split(b"\r\n")[0]) > 10_000
        assert open_files(lone) <= files + 3
        assert probe.grown_bytes < before + 32 * MEGABYTE


def abandon_a_connection(node: Node, manner: int) -> None:
    with socket.create_connection(("127.0.0.1", node.resp_port), timeout=20) as sock:
        if manner == 1:
            sock.sendall(packed(b"INCR", b"churn"))
        elif manner == 2:
            sock.sendall(b"*3\r\n$3\r\nSET\r\n$5\r\nch")
        elif manner == 3:
            sock.sendall(packed(b"SUBSCRIBE", b"churn"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_no_more_connections_than_the_limit_says(lone: Node) -> None:
    wait_until(lambda: connected_clients(lone) == 1, 30, "the connections to be gone")
    with ExitStack() as stack:
        opened = [stack.enter_context(Raw(lone.resp_port)) for _ in range(CONNECTIONS_MAX)]
        assert [raw.call(b"PING") for raw in opened] == [b"PONG"] * CONNECTIONS_MAX
        with Raw(lone.resp_port) as refused:
            assert str(refused.reply()) == "ERR max number of clients reached"
            assert refused.is_closed()
    wait_until(lambda: connected_clients(lone) == 1, 30, "the connections to be gone")
    check_others_are_served(lone)


def test_a_large_bulk_is_refused_when_it_is_announced(lone: Node) -> None:
    with Raw(lone.resp_port) as raw:
        raw.send(packed(b"PING") + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\n")
        assert raw.reply() == b"PONG"
        assert str(raw.reply()) == "ERR Protocol error: invalid bulk length"
        assert raw.is_closed()


def test_bulks_that_are_announced_and_never_sent_cost_nothing(lone: Node) -> None:
    with ExitStack() as stack, Probe(lone) as probe:
        for _ in range(200):
            raw = stack.enter_context(Raw(lone.resp_port))
            raw.send(b"*1048576\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\nx" % (8 * MEGABYTE))
        probe.wait_for_answers()
        assert probe.grown_bytes < 32 * MEGABYTE


def test_half_a_gigabyte_that_is_allowed_and_announced_and_never_sent_costs_nothing(tmp_path: Path) -> None:
    with Fleet(tmp_path, nodes=1, limits={"message_bytes_max": 1 << 30, "value_bytes_max": 1 << 30}) as fleet:
        node = fleet["n1"]
        with ExitStack() as stack, Probe(node) as probe:
            for _ in range(200):
                raw = stack.enter_context(Raw(node.resp_port))
                raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\nx" % (512 * MEGABYTE))
            probe.wait_for_answers()
            assert probe.grown_bytes < 32 * MEGABYTE


def test_a_key_or_value_over_its_limit_is_refused_and_the_connection_goes_on(lone: Node) -> None:
    with Raw(lone.resp_port) as raw:
        assert "limits.value_bytes_max" in str(raw.call(b"SET", b"a", b"x" * (MEGABYTE + 1)))
        assert "limits.key_bytes_max" in str(raw.call(b"SET", b"k" * 1025, b"x"))
        assert "limits.key_bytes_max" in str(raw.call(b"GET", b"k" * 1025))
        assert raw.call(b"SET", b"a", b"x" * MEGABYTE) == b"OK"
        assert raw.call(b"GET", b"a") == b"x" * MEGABYTE


def test_a_client_that_never_reads_is_answered_no_more_than_fits(lone: Node) -> None:
    """It asks for four gigabytes; what it does not read is not even made."""
    with Raw(lone.resp_port) as setting:
        setting.call(b"SET", b"large", b"x" * MEGABYTE)
    with Raw(lone.resp_port) as greedy, Raw(lone.resp_port) as behind_a_write, Probe(lone) as probe:
        greedy.send(packed(b"GET", b"large") * 4096)
        behind_a_write.send(packed(b"SET", b"small", b"x") + packed(b"GET", b"large") * 2000)
        probe.wait_for_answers()
        assert probe.grown_bytes < 48 * MEGABYTE
        assert [greedy.reply() for _ in range(50)] == [b"x" * MEGABYTE] * 50
        assert behind_a_write.reply() == b"OK"
        assert [behind_a_write.reply() for _ in range(50)] == [b"x" * MEGABYTE] * 50


def test_slow_readers_hold_up_nobody_else(lone: Node) -> None:
    """Each asks for ten megabytes, and takes a few kilobytes at a time, all of them in turn."""
    value, readers = b"x" * MEGABYTE, 20
    with ExitStack() as stack:
        stack.enter_context(Raw(lone.resp_port)).call(b"SET", b"large", value)
        probe = stack.enter_context(Probe(lone))
        slow = [stack.enter_context(Raw(lone.resp_port)) for _ in range(readers)]
        for raw in slow:
            raw.send(packed(b"GET", b"large") * 10)
        for _ in range(20):
            for raw in slow:
                assert raw.socket.recv(4096)
        probe.wait_for_answers()
        assert probe.grown_bytes < 2 * readers * MEGABYTE + 32 * MEGABYTE


def test_half_commands_of_many_hold_up_nobody_else(lone: Node) -> None:
    """A byte at a time, all of them in turn; then all of them are whole."""
    request = packed(b"SET", b"half", b"v" * 20)
    with ExitStack() as stack:
        probe = stack.enter_context(Probe(lone))
        slow = [stack.enter_context(Raw(lone.resp_port)) for _ in range(100)]
        for at in range(len(request)):
            for raw in slow:
                raw.send(request[at : at + 1])
        assert [raw.reply() for raw in slow] == [b"OK"] * len(slow)
        assert probe.grown_bytes < 32 * MEGABYTE


def test_a_client_that_sends_without_reading_is_not_read_either(lone: Node) -> None:
    with Probe(lone) as probe, Raw(lone.resp_port, timeout_s=2) as raw:
        flood = packed(b"ECHO", b"x" * 1000) * 200_000
        with pytest.raises(TimeoutError):
            raw.send(flood)
        assert probe.grown_bytes < 32 * MEGABYTE


def test_a_listener_that_never_reads_is_cut_off(lone: Node) -> None:
    with Raw(lone.resp_port) as deaf, Raw(lone.resp_port) as speaker:
        deaf.call(b"SUBSCRIBE", b"news")
        told = [speaker.call(b"PUBLISH", b"news", b"x" * 100_000) for _ in range(200)]
        assert told[0] == 1
        assert told[-1] == 0
    check_others_are_served(lone)


def test_half_a_command_is_waited_for_and_the_rest_makes_it_whole(lone: Node) -> None:
    request = packed(b"SET", b"slow", b"v" * 100)
    with Raw(lone.resp_port) as raw:
        for at in range(len(request)):
            raw.send(request[at : at + 1])
        assert raw.reply() == b"OK"
    check_others_are_served(lone)


@pytest.mark.parametrize("first", [b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b""])
def test_a_browser_that_a_web_page_makes_send_commands_is_cut_off(lone: Node, first: bytes) -> None:
    """Else any page could write to a worker on its reader's machine: the body of a request is lines of commands."""
    with Raw(lone.resp_port) as browser:
        browser.send(first + b"Host: 127.0.0.1\r\nContent-Length: 12\r\n\r\nSET forged 1\r\n")
        if first.startswith(b"GET"):
            assert "wrong number of arguments" in str(browser.reply())
        assert browser.is_closed()
    with Raw(lone.resp_port) as raw:
        assert raw.call(b"GET", b"forged") is None


def test_a_client_may_ask_for_more_than_may_be_under_way(lone: Node) -> None:
    count = 30_000
    with Raw(lone.resp_port) as raw:
        raw.send(packed(b"DEL", b"flood"))
        assert raw.reply() in (0, 1)
        raw.send(packed(b"INCR", b"flood") * count)
        assert raw.replies(count) == list(range(1, count + 1))
