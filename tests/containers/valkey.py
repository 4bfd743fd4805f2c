"""A real server in a container, which a test can stop, freeze, kill and start again under the same address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

import redis

from tests.containers.engine import REPOSITORY
from tests.support import free_port, wait_until

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["ValkeyServer", "server_image"]


def server_image() -> str:
    """The server's image, as `docker-compose.yml` names it."""
    found = re.search(r"image: (valkey\S+)", (REPOSITORY / "docker-compose.yml").read_text("utf-8"))
    assert found, "docker-compose.yml names no valkey image"
    return found[1]


class ValkeyServer:
    """A context manager: the server runs within it, with its data on a volume, synced before every reply.

    The port on the host is fixed, because a random one changes when a container is started again.
    """

    def __init__(self) -> None:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        # Ryuk, the reaper, is one more image to have; the fixtures clean up themselves.
        testcontainers_config.ryuk_disabled = True
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._container = DockerContainer(server_image()).with_command(
            ["valkey-server", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--protected-mode", "no"]
        )
        self._container.ports["6379/tcp"] = ("127.0.0.1", self.port)

    def __enter__(self) -> Self:
        try:
            self._container.start()
            self.wait_until_it_answers()
        except BaseException:
            self._container.stop()  # nobody else would
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._container.stop()  # removes the container and its volume

    @property
    def _engine(self) -> Container:
        return self._container.get_wrapped_container()

    def stop(self) -> None:
        """An orderly end: SIGTERM."""
        self._engine.stop(timeout=20)

    def kill(self) -> None:
        """SIGKILL: nothing is said to anyone."""
        self._engine.kill()

    def start(self) -> None:
        """Starts the stopped container again, and waits until the server answers."""
        self._engine.start()
        self.wait_until_it_answers()

    def restart(self) -> None:
        """Stop and start in one call of the engine."""
        self._engine.restart(timeout=20)
        self.wait_until_it_answers()

    def pause(self) -> None:
        """Freezes the server: connections stay open, and nothing is answered."""
        self._engine.pause()

    def unpause(self) -> None:
        """The frozen server goes on, with all that was sent to it meanwhile."""
        self._engine.unpause()

    def logs(self) -> str:
        """What the server has written so far."""
        return self._engine.logs().decode(errors="replace")

    def wait_until_it_answers(self) -> None:
        """Returns once the server has loaded its data and answers PING."""
        with redis.Redis(port=self.port, socket_timeout=2, socket_connect_timeout=2) as client:
            wait_until(lambda: _answers(client), timeout=60, what=f"the server on port {self.port}")


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
