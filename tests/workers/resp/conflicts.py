"""What scenarios of the rules in docs/redis.md share: three real nodes that part and hear each other again.

`sides.apart()` is a partition by `DELTAIC.PARTITION`, ended by `DELTAIC.HEAL`; after it every node has waited for the
tokens of all others, so all that any of them had done is there, and is the same everywhere.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import permutations
from typing import TYPE_CHECKING, Any

from redis import Redis

from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fleet import Fleet

    Test = Callable[..., None]

__all__ = ["ARRIVAL_MS", "BEHIND_MS", "POLICIES", "RULES", "Sides", "next_ms", "rule"]

RULES: list[str] = []

POLICIES = """
[policies."ban:"]
sets = "remove-wins"
[policies."note:"]
strings = "multi-value"
"""

ARRIVAL_MS = 20_000
BEHIND_MS = 30_000


def rule(text: str) -> Callable[[Test], Test]:
    """Names the rule that a scenario shows, as docs/redis.md has it in the first cell of a row."""
    RULES.append(text)
    return lambda test: test


class Sides:
    """Three nodes, of which `a` and `b` act and all show. A replica's name is larger from `a` to `c`."""

    def __init__(self, fleet: Fleet) -> None:
        self.nodes = [Redis(port=node.resp_port, protocol=3) for node in fleet.nodes.values()]
        self.a, self.b, self.c = self.nodes

    def sync(self) -> None:
        """Returns when every node has all that any other had done by now."""
        for one, other in permutations(self.nodes, 2):
            assert other.execute_command("DELTAIC.AWAIT", one.execute_command("DELTAIC.TOKEN"), ARRIVAL_MS) == b"OK"

    @contextmanager
    def apart(self) -> Iterator[None]:
        """From a synced state, nobody hears anybody; then all hear all, and have done so."""
        self.sync()
        for node in self.nodes:
            node.execute_command("DELTAIC.PARTITION")
        try:
            yield
        finally:
            for node in self.nodes:
                node.execute_command("DELTAIC.HEAL")
        self.sync()

    def all(self, read: Callable[[Redis], Any]) -> Any:
        """What every node shows, which is the same."""
        shown = [read(node) for node in self.nodes]
        assert all(value == shown[0] for value in shown), shown
        return shown[0]

    def get(self, key: str) -> Any:
        return self.all(lambda node: node.get(key))

    def members(self, key: str) -> Any:
        return self.all(lambda node: node.smembers(key))

    def values(self, key: str) -> Any:
        """What stands side by side in a multi-value string, the newest first."""
        return self.all(lambda node: node.execute_command("DELTAIC.MVGET", key))

    def enabled(self, key: str) -> Any:
        """1 or 0, of a flag."""
        return self.all(lambda node: node.execute_command("DELTAIC.ENABLED", key))

    def ttl(self, key: str) -> Any:
        """Seconds to live, to ten, as the nodes are not asked at one moment; -1: for ever."""
        return self.all(lambda node: -1 if node.ttl(key) == -1 else round(node.ttl(key), -1))


def next_ms(node: Redis) -> None:
    """Returns when the node's clock has gone on."""
    before = node.time()
    wait_until(lambda: node.time() > before, what="the clock to go on")
