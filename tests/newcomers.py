"""Machines that are added to a fleet from one side of a partition, by the command, with a Valkey of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import InvalidArgument
from tests.command import Command
from tests.fleet import Fleet, Node
from tests.server import ValkeyServer
from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

__all__ = ["Machine"]


class Machine:
    """A machine that is added as `name`, and whose fleet file names only the founders of its `side`.

    `title` tells the machines with one name apart; `cleanup` ends what the machine runs.
    """

    def __init__(self, fleet: Fleet, name: str, title: str, side: Iterable[str], cleanup: ExitStack) -> None:
        self.valkey = ValkeyServer(fleet.directory / f"valkey-{title}")
        cleanup.callback(self.valkey.stop)
        self.valkey.start()
        self._fleet = fleet
        self._cleanup = cleanup
        self._file = fleet.directory / f"{title}.toml"
        self.node = Node(name, f"127.0.0.1:{free_port()}", self._file, title)
        cleanup.callback(self.node.discard)
        self.knows(side)
        self.deltaic = Command(self._file)

    def knows(self, founders: Iterable[str]) -> None:
        """The fleet file names `founders` from now on, besides the machine itself; for the next start."""
        known = {founder: (self._fleet[founder].address, self._fleet.valkeys[founder].url) for founder in founders}
        known[self.node.name] = (self.node.address, self.valkey.url)
        tables = [f'[nodes.{node}]\ngrpc = "{grpc}"\nredis = "{redis}"\n' for node, (grpc, redis) in known.items()]
        settings = ["[valkey]\nembedded = false\n", "[gossip]\ntimeout_ms = 2000\n"]
        self._file.write_text("".join([*tables, *settings]))

    def call(self, name: str) -> None:
        """The section of the machine, its commands and its worker have another name from now on."""
        self._file.write_text(self._file.read_text().replace(f"[nodes.{self.node.name}]", f"[nodes.{name}]"))
        self.node.discard()
        self.node = Node(name, self.node.address, self._file, self.node.log.stem)
        self._cleanup.callback(self.node.discard)

    def add(self) -> bool:
        """Add the machine, and start its worker though the other side does not answer.

        Return whether it was added: it is refused once another machine is known under its name.
        """
        added = self.deltaic.run("node", "add", self.node.name, "--no-wait")
        if added.returncode == InvalidArgument.exit_code and "another machine" in added.stderr:
            return False
        assert added.returncode == 0, added.stderr
        self.node.start("--trust-redis")
        return True
