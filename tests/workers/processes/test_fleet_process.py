"""One process of a fleet: its rank, the command that runs it, and asking it to end."""

from __future__ import annotations

import os
import queue
import signal
import threading
from time import monotonic
from typing import Any

import pytest

from tests.support import wait_until
from workers.processes.fleet_process import FleetProcess, Rank


@pytest.mark.parametrize(
    ("command", "rank"),
    [
        ("deltaic keep -- deltaic valkey", Rank.SERVER),
        ("deltaic keep -- deltaic replica n1", Rank.REPLICA),
        ("deltaic keep -- deltaic jobs", Rank.JOBS),
        ("python -m http.server", Rank.JOBS),
    ],
)
def test_a_process_ends_before_those_that_it_needs(command: str, rank: Rank) -> None:
    assert FleetProcess.of("name", command, "32", {}).rank is rank


class Running:
    """A process that runs, and what honcho reports of it."""

    def __init__(self, command: str) -> None:
        self.process = FleetProcess.of("name", command, "32", os.environ)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self.process.process.run, args=(self._events,), daemon=True).start()
        self.process.running, self.process.pid = True, self.next("start")["pid"]

    def next(self, kind: str) -> Any:
        while True:
            event = self._events.get(timeout=20)
            if event.type == kind:
                return event.data


def test_a_single_command_takes_the_place_of_its_shell() -> None:
    """With no shell between them, a keeper notices when the runner is killed."""
    running = Running("sleep 1000")
    pid = running.process.pid

    def command() -> bytes:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()

    wait_until(lambda: command() == b"sleep\x001000\x00", what="the shell to become the command")
    running.process.ask_to_end()
    assert running.next("stop")["returncode"] == -signal.SIGTERM


def test_a_command_for_a_shell_is_left_to_the_shell() -> None:
    running = Running("echo one; echo two")
    assert [bytes(running.next("line")).strip() for _ in range(2)] == [b"one", b"two"]
    assert running.next("stop")["returncode"] == 0


def test_a_process_that_does_not_listen_can_be_killed_and_both_times_are_kept() -> None:
    running = Running("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    running.next("line")
    begun = monotonic()
    running.process.ask_to_end()
    first = running.process.asked_s
    running.process.ask_to_end()
    assert running.process.asked_s == first
    assert first is not None
    assert first >= begun
    running.process.kill()
    assert running.process.killed_s is not None
    assert running.next("stop")["returncode"] == -signal.SIGKILL


def test_a_process_that_does_not_run_is_not_asked() -> None:
    process = FleetProcess.of("name", "sleep 1000", "32", {})
    process.ask_to_end()
    assert process.asked_s is None
