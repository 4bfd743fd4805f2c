"""Nodes and periodic jobs that run one version, then another."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.serializers import JSONSerializer

from tests.support import DELTAIC, wait_until
from workers.wire.keys import queue_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.fleet import Fleet, Node

__all__ = ["PRESENT", "PeriodicJobs", "catch_up", "failure_of", "restart", "run_version"]

PRESENT = DELTAIC
"""The `deltaic` command of the code under test."""


def run_version(nodes: Iterable[Node], deltaic: Path) -> None:
    """The nodes run `deltaic` from their next start on."""
    for node in nodes:
        node.program = [deltaic]


def restart(node: Node, deltaic: Path) -> None:
    """Stops the node in order, and starts it with `deltaic`."""
    assert node.stop() == 0, node.last_words()
    run_version([node], deltaic)
    node.start().wait_until_serving(60)


def catch_up(fleet: Fleet, *names: str, timeout: float = 60) -> None:
    """Returns once each of the named nodes (none: all) has every commit that any of them has now."""
    nodes = fleet.members(names)
    clocks = [node.clock() for node in nodes]
    replicas = {replica for clock in clocks for replica in clock}
    goal = {replica: max(clock.get(replica, 0) for clock in clocks) for replica in replicas}

    def lacking() -> dict[str, dict[str, int]]:
        now = {node.name: node.clock() for node in nodes}
        behind = {
            name: {replica: counter for replica, counter in goal.items() if clock.get(replica, 0) < counter}
            for name, clock in now.items()
        }
        return {name: lacks for name, lacks in behind.items() if lacks}

    def has_everything() -> bool:
        lacks = lacking()
        assert not lacks, f"lacking: {lacks}"
        return True

    wait_until(has_everything, timeout, "every node to have what any had")


def failure_of(job: Job) -> str:
    """What RQ notes about a job that failed."""
    result = job.latest_result()
    return f"{job.func_name}{tuple(job.args)}: {result.exc_string if result is not None else 'no result'}"


class PeriodicJobs:
    """The RQ workers and the scheduler of a fleet, each of some version; all queues are in the Redis of n1.

    A context manager. Gossip, compaction and audit are due every second.
    """

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self._fleet = fleet
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._cleanup = ExitStack()
        often = dict.fromkeys(("GOSSIP__INTERVAL_S", "JOBS__COMPACTION_INTERVAL_S", "JOBS__AUDIT_INTERVAL_S"), "1")
        places = {f"NODES__{name.upper()}__JOBS": fleet.valkeys["n1"].url for name in fleet.nodes}
        settings = {f"DELTAIC_{name}": value for name, value in (often | places).items()}
        self._env = os.environ | settings | {"DELTAIC_FILE": str(fleet.directory / "fleet.toml")}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for kind in list(self._processes):
            self._end(kind)

    def run(self, *, workers: Path, scheduler: Path) -> None:
        """Runs RQ's workers and the scheduler with these versions of `deltaic`, in place of those that run."""
        for kind, deltaic in (("cron", scheduler), ("jobs", workers)):
            self._end(kind)
            # RQ imports from the working directory, which must not be that of the code under test.
            with (self._directory / "rq.log").open("ab") as log:
                self._processes[kind] = subprocess.Popen(
                    [deltaic, kind], env=self._env, cwd=self._directory, stdout=log, stderr=log
                )

    def wait_until_done(self) -> None:
        """Returns once each node's round, compaction and audit has been run from now on; none may have failed."""
        before = set(self._ids(FinishedJobRegistry))
        wanted = {(name, node) for name in ("gossip_round", "compact", "audit") for node in self._fleet.nodes}

        def done() -> bool:
            self.check()
            ended = map(self._job, set(self._ids(FinishedJobRegistry)) - before)
            ran = [job for job in ended if "skipped" not in job.return_value()]
            found = {(job.func_name.rpartition(".")[2], job.args[0]) for job in ran}
            assert found >= wanted, f"not yet run: {sorted(wanted - found)}"
            return True

        wait_until(done, 30, "the periodic jobs to be run")

    def check(self) -> None:
        """No job may have failed."""
        failed = [self._job(id_) for id_ in self._ids(FailedJobRegistry)]
        assert not failed, "\n".join(map(failure_of, failed))

    def _ids(self, registry: Any) -> list[str]:
        redis = self._fleet.redis("n1")
        queues = [Queue(queue_name(name), connection=redis, serializer=JSONSerializer) for name in self._fleet.nodes]
        return [id_ for queue in queues for id_ in registry(queue=queue, serializer=JSONSerializer).get_job_ids()]

    def _job(self, id_: str) -> Job:
        return Job.fetch(id_, connection=self._fleet.redis("n1"), serializer=JSONSerializer)

    def _end(self, kind: str) -> None:
        process = self._processes.pop(kind, None)
        if process is not None:
            process.terminate()
            process.wait(30)
