"""A Valkey of the test's own: its own port, its own data, ended by pid."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Self

from redis import Redis
from redis.exceptions import RedisError

from tests.support import free_port, wait_until
from workers.processes.embedded import server_binary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ValkeyServer"]


class ValkeyServer:
    """A server on 127.0.0.1 with an append-only file in `directory`; may be killed and started again.

    `password` is that of its default user, `options` is added to its command line.
    """

    def __init__(
        self,
        directory: Path,
        appendfsync: str = "everysec",
        *,
        password: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._password = password
        self._options = [*options, *(("--requirepass", password) if password is not None else ())]
        self.directory = directory
        self.port = free_port()
        self._appendfsync = appendfsync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, timeout_s: float | None = None) -> Redis:
        """A connection of its own; answers are waited for as long as `timeout_s`."""
        return Redis(port=self.port, password=self._password, socket_timeout=timeout_s)

    def start(self) -> Self:
        """Starts it, and returns when it answers; where it does not, it is ended, and the error shows its log."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--dir": str(self.directory),
            "--appendonly": "yes",
            "--appendfsync": self._appendfsync,
            "--save": "",
            "--loglevel": "warning",
        }
        log_file = self.directory / "valkey.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [server_binary(), *(word for option in options.items() for word in option), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = self._process
        try:
            wait_until(lambda: self._answers() or process.poll() is not None, 20, f"Valkey at port {self.port}")
            assert process.poll() is None, f"Valkey ended with {process.returncode}:\n{log_file.read_text()[-2000:]}"
        except BaseException:
            process.kill()
            process.wait()
            raise
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """SIGSTOP: the kernel goes on taking connections and bytes for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.terminate()
            self._process.wait(20)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False
