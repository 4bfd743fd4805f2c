"""Both clients for one test: the asyncio client's calls are run to their end."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from deltaic import AsyncClient, Client, ClientOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Awaited:
    """An object of the asyncio client whose methods return what they would be awaited for."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._called(value) if callable(value) else value

    def _called(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            result = self._runner.run(_result(method, args, options))
            return Awaited(result, self._runner) if type(result).__module__.startswith("deltaic.async_") else result

        return call


async def _result(method: Callable[..., Any], args: Any, options: Any) -> Any:
    for _ in range(3):  # the loop of a program runs on, and so has noticed which connections are closed
        await asyncio.sleep(0)
    result = method(*args, **options)
    return await result if inspect.isawaitable(result) else result


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """`connect(urls, options)` is a client of the nodes at `urls`, closed at the end of the test."""
    with asyncio.Runner() as runner:
        clients: list[Any] = []

        def connect(urls: Iterable[str], options: ClientOptions | None = None) -> Any:
            blocking = request.param == "blocking"
            clients.append(Client(urls, options) if blocking else Awaited(AsyncClient(urls, options), runner))
            return clients[-1]

        yield connect
        for client in clients:
            client.close()
