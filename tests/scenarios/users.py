"""A fleet each of whose nodes has a Redis of its own with the users of `deltaic acl`, and a fleet file of its own.

A machine's fleet file names its own Redis by its owner, and those of the others by the peer, as `deltaic acl --help`
says.
"""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any, Self

from redis import Redis

from tests.client import connected
from tests.server import ValkeyServer
from tests.support import DELTAIC, free_port, plain_environment, wait_until
from workers.config.loading import load_settings
from workers.fleet.status import read_status
from workers.fleet.stores import FleetRedis
from workers.rpc.client import FleetClient
from workers.wire.access import Role, acl_file, user_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from workers.fleet.fleet_status import FleetStatus

__all__ = ["ADMIN", "Machine", "machines"]

ADMIN = "admin"
PASSWORDS = {role: f"the {role}'s" for role in Role}
URL_PASSWORDS = {role: f"the%20{role}%27s" for role in Role}


class Machine:
    """One node's machine: its Redis, its fleet file, and its processes."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(parents=True)
        self.name = name
        self.directory = directory
        self.file = directory / "fleet.toml"
        self.grpc = f"127.0.0.1:{free_port()}"
        users = directory / "users.acl"
        lines = acl_file([name], PASSWORDS)
        users.write_text("\n".join([*lines, f"user {ADMIN} on >{ADMIN} ~* &* +@all", ""]), "utf-8")
        self.server = ValkeyServer(directory / "valkey", options=("--aclfile", str(users))).start()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def url(self, role: Role) -> str:
        """Its Redis for a role."""
        return f"redis://{user_name(role)}:{URL_PASSWORDS[role]}@127.0.0.1:{self.server.port}/0"

    def redis(self, role: Role) -> Redis:
        """A client of its Redis in a role."""
        return Redis.from_url(self.url(role))

    def admin(self) -> Redis:
        """A client of its Redis that may do everything."""
        return Redis(port=self.server.port, username=ADMIN, password=ADMIN)

    def knows(self, machines: Sequence[Machine]) -> None:
        """Writes its fleet file: of `machines`, itself included."""
        sections = [
            f'[nodes.{machine.name}]\ngrpc = "{machine.grpc}"\n'
            f'redis = "{machine.url(Role.OWNER if machine is self else Role.PEER)}"\n'
            for machine in machines
        ]
        often = "[gossip]\ninterval_s = 1\n[jobs]\nworkers = 1\naudit_interval_s = 1\ncompaction_interval_s = 1\n"
        self.file.write_text("\n".join([*sections, often, "[valkey]\nembedded = false\n"]), "utf-8")

    def start(self, *arguments: str, role: Role = Role.OWNER) -> Self:
        """Starts a process of its own, which uses its Redis in `role`."""
        environment = plain_environment() | {f"DELTAIC_NODES__{self.name.upper()}__REDIS": self.url(role)}
        with (self.directory / f"{arguments[0]}.log").open("ab") as log:
            self.processes[arguments[0]] = subprocess.Popen(
                [DELTAIC, "-f", self.file, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def start_all(self) -> Self:
        """Starts its worker, its RQ workers and its scheduler, each in its role."""
        self.start("replica", self.name)
        self.start("jobs", "--node", self.name, role=Role.JOBS)
        return self.start("cron", "--node", self.name, role=Role.JOBS)

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command says on this machine."""
        done = subprocess.run(
            [DELTAIC, "-f", self.file, *arguments],
            env=plain_environment() | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}\n{self.said()}"
        return done.stdout

    def wait_until_serving(self) -> None:
        with connected(self.grpc) as client:
            wait_until(client.is_serving, 40, f"{self.name} to serve:\n{self.said()}")

    def status(self) -> FleetStatus:
        """The fleet as a command on this machine sees it."""

        async def read() -> FleetStatus:
            settings = load_settings(self.file)
            async with FleetRedis(settings) as redis, FleetClient(settings) as clients:
                return await read_status(settings, redis, clients)

        return asyncio.run(read())

    def ended(self, name: str) -> bool:
        """Whether one of its processes has ended by itself."""
        return self.processes[name].poll() is not None

    def stop(self, name: str) -> None:
        """Ends one of its processes."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(30)

    def said(self) -> str:
        return "\n".join(log.read_text("utf-8", "replace")[-3000:] for log in sorted(self.directory.glob("*.log")))

    def refusals(self) -> list[dict[str, Any]]:
        """What its Redis has refused to the users of the fleet."""
        with self.admin() as admin:
            return [entry for entry in admin.acl_log() if entry["username"].startswith("deltaic-")]

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name)
        self.server.stop()


def machines(stack: ExitStack, directory: Path, *names: str) -> list[Machine]:
    """Machines whose processes and servers end with `stack`; they know nothing of each other yet."""
    found = []
    for name in names:
        found.append(Machine(directory / name, name))
        stack.callback(found[-1].close)
    return found
