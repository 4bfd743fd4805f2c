"""The deployment of `docker-compose.yml`, brought up under a name and on ports of its own."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import Self
from uuid import uuid4

from tests.client import NodeClient, connected
from tests.containers.engine import REPOSITORY, compose_command
from tests.support import free_port, wait_until
from workers.wire.access import Role, user_name

__all__ = ["NODES", "Deployment"]

NODES = ("n1", "n2", "n3")
COMMAND_TIMEOUT_S = 400
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"


class Deployment:
    """A context manager: the deployment is up within it, and gone without a trace after it."""

    def __init__(self) -> None:
        self._compose_command = compose_command()
        ports = {node: free_port() for node in NODES}
        self.resp_ports = {node: free_port() for node in NODES}
        self._env = os.environ | {
            "COMPOSE_PROJECT_NAME": f"deltaic-test-{uuid4().hex[:8]}",
            "DOCKER_BUILDKIT": "0",
            **{f"{node.upper()}_GRPC_PORT": str(port) for node, port in ports.items()},
            **{f"{node.upper()}_RESP_PORT": str(port) for node, port in self.resp_ports.items()},
        }
        self._clients = ExitStack()
        self.nodes: dict[str, NodeClient] = {
            node: self._clients.enter_context(connected(f"127.0.0.1:{port}")) for node, port in ports.items()
        }

    def __enter__(self) -> Self:
        try:
            self.compose("build", "replica-n1")
            self.up()
        except BaseException:
            print(self.logs())
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clients.close()
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
        self._run("docker", "image", "prune", "--force", "--filter", "label=deltaic.image")

    def up(self) -> None:
        """Starts what is not running, and waits until every node serves."""
        self.compose("up", "--detach")
        for client in self.nodes.values():
            client.wait_until_serving(timeout=90)

    def down(self) -> None:
        """Removes the containers and the networks; the volumes stay."""
        self.compose("down", "--timeout", "10")

    def cut(self, node: str) -> None:
        """Cuts `node` off from the others at the network."""
        self._run(REPOSITORY / "docker" / "mesh.sh", "cut", node)

    def join(self, node: str) -> None:
        """Brings `node` back."""
        self._run(REPOSITORY / "docker" / "mesh.sh", "join", node)

    def reaches(self, service: str, other: str, port: int = 6379) -> bool:
        """Whether a process in the container of `service` can connect to `port` of `other`."""
        command = ["exec", "-T", service, "python", "-c", REACH, other, str(port)]
        return self._run(*self._compose_command, *command, check=False).returncode == 0

    def ask_redis(self, node: str, *command: str, role: Role = Role.INSPECTOR) -> str:
        """What the Redis of `node` answers to a role, in the words of `valkey-cli`."""
        user = ("--user", user_name(role), "--pass", f"{role}-of-{node}", "--no-auth-warning")
        return self.compose("exec", "-T", f"redis-{node}", "valkey-cli", *user, *command).strip()

    def wait_until_healthy(self, service: str, timeout: float = 60) -> None:
        container = self.compose("ps", "--quiet", service).strip()
        inspect = ("docker", "inspect", "--format", "{{.State.Health.Status}}", container)
        wait_until(lambda: self._run(*inspect).stdout.strip() == "healthy", timeout, f"{service} to be healthy")

    def logs(self) -> str:
        """What the containers have written, the last lines of each."""
        return self._run(*self._compose_command, "logs", "--no-color", "--tail", "60", check=False).stdout

    def compose(self, *arguments: str) -> str:
        """The output of `docker-compose ARGUMENTS` for this deployment."""
        return self._run(*self._compose_command, *arguments).stdout

    def _run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=REPOSITORY,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done
