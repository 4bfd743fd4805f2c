"""What redis-py's errors and the nodes' error replies mean for a write."""

from __future__ import annotations

import asyncio

import pytest
from redis import exceptions

from crdt_core.errors import Fenced, Overloaded
from deltaic.errors import Refused
from deltaic.failures import NodeFailed, connection_failure, is_try_again, reply_failure
from tests.workers.resp.inprocess import InProcess


@pytest.mark.parametrize("error", [exceptions.ConnectionError("reset."), exceptions.TimeoutError(""), OSError("gone")])
@pytest.mark.parametrize("sent", [False, True])
def test_what_was_sent_on_a_connection_that_failed_may_have_acted(error: Exception, sent: bool) -> None:
    failure = connection_failure("n1", error, sent=sent)
    assert isinstance(failure, NodeFailed)
    assert failure.may_have_acted is sent
    assert failure.reason
    assert not failure.reason.endswith(".")


def test_a_wrong_password_is_refused_and_the_next_node_is_not_asked() -> None:
    failure = connection_failure("n1", exceptions.AuthenticationError("invalid password"), sent=False)
    assert isinstance(failure, Refused)


def test_a_node_that_loads_has_done_nothing() -> None:
    failure = connection_failure("n1", exceptions.BusyLoadingError("Redis is loading"), sent=True)
    assert isinstance(failure, NodeFailed)
    assert not failure.may_have_acted


@pytest.mark.parametrize(
    "error",
    [
        exceptions.TryAgainError("no commit for 3 s"),
        exceptions.OutOfMemoryError("Redis refuses"),
        exceptions.ReadOnlyError("Redis refuses"),
        exceptions.ResponseError(str(Overloaded(10, "limits.calls_waiting_max"))),
    ],
)
def test_a_node_that_says_so_has_done_nothing(error: exceptions.ResponseError) -> None:
    failure = reply_failure("n1", "INCR", error)
    assert isinstance(failure, NodeFailed)
    assert not failure.may_have_acted


async def test_the_client_understands_what_a_worker_says_that_ends() -> None:
    """The client looks for words in the replies: these are the worker's own."""
    site = InProcess()
    turns = asyncio.create_task(site.mailbox.run())
    begun, waiting, late = (site.connect() for _ in range(3))
    site.store.failure = Fenced("n1")
    site.store.back.clear()
    begun.send((b"INCR", b"c"))
    await site.store.committing.wait()
    waiting.send((b"INCR", b"c"))
    site.store.back.set()
    with pytest.raises(Fenced):
        await turns
    for peer, may_have_acted in ((begun, True), (waiting, False), (late.send((b"INCR", b"c")), False)):
        reply = exceptions.ResponseError(str(await peer.reply()))
        failure = reply_failure("n1", "INCR", reply)
        assert isinstance(failure, NodeFailed), reply
        assert failure.may_have_acted is may_have_acted


def test_any_other_error_is_the_callers() -> None:
    failure = reply_failure("n1", "INCR", exceptions.ResponseError("value is not an integer or out of range"))
    assert isinstance(failure, Refused)
    assert failure.reply == "value is not an integer or out of range"


def test_only_tryagain_is_try_again() -> None:
    assert is_try_again(exceptions.TryAgainError())
    assert not is_try_again(exceptions.ResponseError("TRYAGAIN"))
    assert not is_try_again(b"OK")
