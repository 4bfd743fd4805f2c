"""A node behind passwords and TLS: its fleet file, its processes with all that they said, and its Redis."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.server import ValkeyServer
from tests.support import DELTAIC, free_port, plain_environment, wait_until
from workers.wire.access import Role, set_user_commands, user_name

if TYPE_CHECKING:
    from contextlib import ExitStack

__all__ = [
    "GRPC_SECRET",
    "OWNER",
    "REDIS_SECRET",
    "USER",
    "Deployment",
    "deployment",
    "family",
    "give_rights",
    "redis_server",
    "with_password",
]

REDIS_SECRET = "r3dis/s3cret#:@?%&ü"  # noqa: S105
GRPC_SECRET = "gRPC-s3cret!#/%"  # noqa: S105
USER = "del:taic@here"
OWNER = user_name(Role.OWNER)


class Deployment:
    """One node, its fleet file, and its processes with all that they said. `stop` ends them."""

    def __init__(self, directory: Path, redis: str, security: str = "", node: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self.file = directory / "fleet.toml"
        self.file.write_text(
            f'[nodes.n1]\ngrpc = "{self.address}"\nredis = "{redis}"\n{node}\n'
            f"[gossip]\ninterval_s = 1\n[valkey]\nembedded = false\n[security]\n{security}\n",
            "utf-8",
        )
        self.processes: list[subprocess.Popen[bytes]] = []
        self.server: ValkeyServer | None = None

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = self.directory / f"{arguments[0]}-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [DELTAIC, "-f", self.file, *arguments],
                env=plain_environment() | {"DELTAIC_FILE": str(self.file)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, file: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [DELTAIC, "-f", file or self.file, *arguments],
            env=plain_environment() | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        with (self.directory / "commands.log").open("a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def said(self) -> str:
        """All that the processes and commands printed."""
        return "\n".join(log.read_text("utf-8", "replace") for log in sorted(self.directory.glob("*.log")))

    def wait_until_serving(self) -> None:
        wait_until(lambda: self.run("health", "n1").returncode == 0, 30, f"n1 to serve:\n{self.said()}")

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(30)


def deployment(stack: ExitStack, directory: Path, redis: str, security: str = "") -> Deployment:
    deployed = Deployment(directory, redis, security)
    stack.callback(deployed.stop)
    return deployed


def redis_server(stack: ExitStack, directory: Path, *, password: str | None = None) -> ValkeyServer:
    """A server whose default user may do everything. With a password, it has the users of `deltaic acl` for n1, too."""
    options = ("--unixsocket", str(directory / "valkey.sock"), "--unixsocketperm", "700")
    directory.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(directory / "valkey", password=password, options=options)
    stack.callback(server.stop)
    server.start()
    if password is not None:
        give_rights(server, OWNER, password)
    return server


def give_rights(server: ValkeyServer, user: str, password: str) -> None:
    """Makes `user` the owner of n1 in the server, with the rights that `deltaic acl` prints."""
    (rights,) = [line for line in set_user_commands(["n1"]) if line.startswith(f"ACL SETUSER {OWNER} ")]
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", user, f">{password}", *rights.split()[3:])


def with_password(server: ValkeyServer, user: str = OWNER, password: str = REDIS_SECRET) -> str:
    return f"redis://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{server.port}/0"


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    return [pid, *(member for child in children for member in family(child))]
