# Made from async_client.py: change that file, and run `make blocking`.
"""The blocking client: sessions on a fleet's nodes, over their Redis ports.

    with deltaic.Client(["redis://127.0.0.1:7201", "redis://127.0.0.1:7202"]) as client:
        client.counter("hits").increment()
        client.set("fruit").add("apple", "pear")

`deltaic.calls` says which node is asked and what is repeated; this module carries that out.

Threads may share a client.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from redis import BlockingConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from deltaic.calls import Calls, Exchange, Journey, Pause, Plan
from deltaic.errors import DeltaicError
from deltaic.failures import NodeFailed, connection_failure
from deltaic.kinds import CounterKind, FlagKind, MultiValueKind, RegisterKind, SetKind
from deltaic.nodes import named, pool_options
from deltaic.objects import Counter, Flag, MultiValueRegister, Register, Set
from deltaic.operations import Argument, Operation, plain
from deltaic.options import ClientOptions
from deltaic.session import SessionMemory
from deltaic.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Client", "Session"]

T = TypeVar("T")

_PING = plain(("PING",), writes=False)


class Connections:
    """The connections of one client: a pool per node."""

    def __init__(self, urls: str | Iterable[str], options: ClientOptions) -> None:
        nodes, arguments = named(urls), pool_options(options)
        self._pools: dict[str, Any] = {
            name: BlockingConnectionPool.from_url(url, **arguments) for name, url in nodes.items()
        }
        self.calls = Calls(tuple(nodes), options, time.monotonic, random.random)

    def run(self, plan: Plan[T]) -> T:
        """Carry `plan` out; return its result."""
        try:
            step = next(plan)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = plan.send([])
                    continue
                try:
                    replies = self._exchange(step)
                except (NodeFailed, DeltaicError) as failure:
                    step = plan.throw(failure)
                else:
                    step = plan.send(replies)
        except StopIteration as end:
            result: T = end.value
            return result

    def redis(self, node: str) -> Redis:
        """Return redis-py on the pool of `node`."""
        return Redis(connection_pool=self._pools[node])

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.disconnect()

    def _exchange(self, exchange: Exchange) -> list[Any]:
        """Return the replies. Raises `NodeFailed` or `Refused`."""
        node, pool = exchange.node, self._pools[exchange.node]
        try:
            connection = pool.get_connection()
        except (RedisError, OSError) as error:
            raise connection_failure(node, error, sent=False) from error
        try:
            connection.send_packed_command(connection.pack_commands(exchange.commands))
            return [_reply(connection) for _ in exchange.commands]
        except (RedisError, OSError) as error:
            raise connection_failure(node, error, sent=True) from error
        except BaseException:  # an interrupt: replies are still to come
            connection.disconnect()
            raise
        finally:
            pool.release(connection)


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


class Session(SessionMemory):
    """A sequence of calls that reads its own writes, and never anything older than it has read, at whatever node.

    The client carries the session's token from node to node, and waits at a node that lacks some of it.
    """

    def __init__(self, connections: Connections, journey: Journey) -> None:
        super().__init__(journey)
        self._connections = connections

    def counter(self, key: str) -> Counter:
        """Return the counter under `key`."""
        return Counter(self, CounterKind(key))

    def set(self, key: str, *, idempotent: bool = False) -> Set:
        """Return the set under `key`: add-wins, unless a policy of the fleet makes sets of such keys remove-wins."""
        return Set(self, SetKind(key, idempotent))

    def remove_wins_set(self, key: str, *, idempotent: bool = False) -> Set:
        """Return the set under `key` in which a remove wins over a concurrent add, for bans and blocks."""
        return Set(self, SetKind(key, idempotent, remove_wins=True))

    def register(self, key: str, *, idempotent: bool = False) -> Register:
        """Return the string under `key`: of concurrent writes, the latest shows."""
        return Register(self, RegisterKind(key, idempotent))

    def multi_value_register(self, key: str, *, idempotent: bool = False) -> MultiValueRegister:
        """Return the string under `key` that keeps all concurrent values."""
        return MultiValueRegister(self, MultiValueKind(key, idempotent))

    def flag(self, key: str, *, idempotent: bool = False) -> Flag:
        """Return the flag under `key` on which an enable wins over a concurrent disable."""
        return Flag(self, FlagKind(key, idempotent))

    def disable_wins_flag(self, key: str, *, idempotent: bool = False) -> Flag:
        """Return the flag under `key` on which a disable wins over a concurrent enable."""
        return Flag(self, FlagKind(key, idempotent, disable_wins=True))

    def read(self, *command: Argument) -> Any:
        """Return the reply to a Redis command that changes nothing, such as `read("HGETALL", "user:1")`.

        Replies are as in version 2 of the Redis protocol: bytes, integers, `None`, lists of these.
        """
        return self.run(plain(command, writes=False))

    def write(self, *command: Argument, idempotent: bool = False) -> Any:
        """Return the reply to a Redis command that may change something, such as `write("HSET", "user:1", "age", 7)`.

        `idempotent`: doing it twice does no harm, so the client may repeat it at another node.
        """
        return self.run(plain(command, writes=True, idempotent=idempotent))

    def redis(self) -> Redis:
        """Return redis-py at the node where this session is, which has seen all that the session has.

        For what has no method here: transactions, pipelines, channels. There is no failover in it, and nothing is
        repeated. What it writes is not in the session's token; `read_after(redis.execute_command("DELTAIC.TOKEN"))`
        takes it in.
        """
        self.run(_PING)
        assert self._journey.node is not None
        return self._connections.redis(self._journey.node)

    def run(self, operation: Operation[T]) -> T:
        """Return the result of `operation`."""
        return self._connections.run(self._connections.calls.plan(operation, self._journey))


class Client(Session):
    """A client of the nodes at `urls`, the one to prefer first. It is a session itself, and makes others.

    URLs are as in redis-py: `redis://:password@host:port`, `rediss://host:port?ssl_ca_certs=/etc/ca.pem` for TLS. The
    first call connects. Raises `InvalidArgument` for URLs that cannot be used.
    """

    def __init__(self, urls: str | Iterable[str], options: ClientOptions | None = None) -> None:
        connections = Connections(urls, options or ClientOptions())
        super().__init__(connections, connections.calls.journey(Token()))

    def session(self, token: Token | str | bytes | None = None) -> Session:
        """Return a new session over the same connections, one that has seen what `token` names.

        A server keeps one for each of its users: then nobody waits for what somebody else has seen.
        """
        session = Session(self._connections, self._connections.calls.journey(Token()))
        if token is not None:
            session.read_after(token)
        return session

    def close(self) -> None:
        """Close the connections of this client and of its sessions."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
