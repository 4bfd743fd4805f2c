"""A replica worker as a process of this machine, with its Redis elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.support import free_port, wait_until

if TYPE_CHECKING:
    from tests.client import NodeClient

__all__ = ["WorkerProcess"]

DELTAIC = Path(sys.executable).with_name("deltaic")
END_TIMEOUT_S = 15


class WorkerProcess:
    """The worker of node `n1` of a fleet of one; a context manager that ends it."""

    def __init__(self, directory: Path, redis_url: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._log = directory / "worker.log"
        self._file = directory / "deltaic.toml"
        self._file.write_text(
            f'[nodes.n1]\ngrpc = "{self.address}"\nredis = "{redis_url}"\n[valkey]\nembedded = false\n', "utf-8"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [DELTAIC, "--file", self._file, "replica", "n1"],
                env={name: value for name, value in os.environ.items() if not name.startswith("DELTAIC_")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_serving(self, node: NodeClient) -> None:
        """Returns once the health of `node`, a client of this worker, answers SERVING; fails at once if it ended."""

        def serving() -> bool:
            if not self.is_running():
                pytest.fail("the worker ended before it served")
            return node.is_serving()

        wait_until(serving, timeout=60, what="the worker to serve")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self) -> int:
        """Asks it to end, and returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(END_TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL: what it has not stored is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def logs(self) -> str:
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""
