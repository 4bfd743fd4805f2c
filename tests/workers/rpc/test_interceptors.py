"""What every call passes: the password, the limits, errors as status codes; and each handler is wrapped once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from crdt_core.errors import CounterOverflow, InvalidArgument, StoreUnavailable, TooMany, Unauthenticated, WrongType
from tests.workers.mailboxes import SlowStore
from tests.workers.rpc.face import code_and_words, serving
from workers.config.credentials import Credentials
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.interceptors import Admission, ErrorsAsStatus, Limits, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

INCREMENT = "/deltaic.v1.CRDTService/IncrementCounter"
CODE = grpc.StatusCode
SHOWN = "s3cret"


class Method:
    """A method as gRPC has it; `looked_up` counts how often its handler was asked for."""

    def __init__(self, name: str, handler: Any) -> None:
        self.details: Any = SimpleNamespace(method=name, invocation_metadata=())
        self.looked_up = 0
        self._handler = handler

    async def continuation(self, _details: Any) -> Any:
        self.looked_up += 1
        return self._handler


async def answered(_request: Any, _context: Any) -> Any:
    return pb.IncrementCounterResponse(value=1)


@pytest.mark.parametrize("make", [ErrorsAsStatus, lambda: Limits(LimitSettings())], ids=["errors", "limits"])
async def test_a_handler_is_wrapped_once_for_all_calls_of_its_method(make: Callable[[], Any]) -> None:
    """It was once built anew for each call."""
    interceptor = make()
    handlers = [grpc.unary_unary_rpc_method_handler(answered) for _ in range(2)]
    method, other = Method(INCREMENT, handlers[0]), Method(INCREMENT.replace("Increment", "Get"), handlers[1])
    first = await interceptor.intercept_service(method.continuation, method.details)
    assert first is not handlers[0]
    assert await interceptor.intercept_service(method.continuation, method.details) is first
    assert method.looked_up == 1
    assert await interceptor.intercept_service(other.continuation, other.details) is not first


async def test_other_services_backups_and_unknown_methods_are_left_alone() -> None:
    interceptor = ErrorsAsStatus()
    health = Method("/grpc.health.v1.Health/Check", grpc.unary_unary_rpc_method_handler(answered))
    backup = Method("/deltaic.v1.ControlService/Backup", grpc.unary_stream_rpc_method_handler(answered))
    unknown = Method("/deltaic.v1.CRDTService/Nonsense", None)
    for method in (health, backup, unknown):
        for _ in range(2):
            found = await interceptor.intercept_service(method.continuation, method.details)
            assert found is await method.continuation(None)


async def test_who_does_not_know_the_password_does_not_learn_whether_there_is_such_a_method() -> None:
    method = Method(INCREMENT, grpc.unary_unary_rpc_method_handler(answered))
    admission = Admission(Credentials(SHOWN))
    refusing = await admission.intercept_service(method.continuation, method.details)
    assert (refusing is not None, method.looked_up) == (True, 0)
    method.details.invocation_metadata = (("authorization", f"Bearer {SHOWN}"),)
    assert await admission.intercept_service(method.continuation, method.details) is await method.continuation(None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongType("k", "orset", "gset"), CODE.FAILED_PRECONDITION),
        (CounterOverflow("c"), CODE.OUT_OF_RANGE),
        (InvalidArgument("amount", "is none"), CODE.INVALID_ARGUMENT),
        (TooMany("batch", 2, 1, "operations", "limits.batch_operations_max"), CODE.RESOURCE_EXHAUSTED),
        (StoreUnavailable("away"), CODE.UNAVAILABLE),
        (Unauthenticated(), CODE.UNAUTHENTICATED),
        (InvalidArgument("value", "x" * 5000), CODE.INVALID_ARGUMENT),
    ],
)
def test_an_error_has_the_code_of_its_class_and_a_line_that_fits_a_header(error: Any, code: grpc.StatusCode) -> None:
    assert status_of(error) == (code, str(error)[:1000])


async def test_errors_and_bytes_that_are_no_request_are_the_caller_s() -> None:
    async with serving() as face:
        await face.objects.AddToSet(pb.AddToSetRequest(set_id="s", element="x"))
        request = pb.IncrementCounterRequest(counter_id="s")
        assert await code_and_words(face.objects.IncrementCounter(request)) == (
            CODE.FAILED_PRECONDITION,
            "'s' is of type orset, not pncounter or gcounter",
        )
        raw = face.channel.unary_unary(INCREMENT)
        code, words = await code_and_words(raw(b"\xff\xff"))
        assert (code, words) == (CODE.INVALID_ARGUMENT, "request: its bytes are no message of this call")
        assert (await face.objects.IncrementCounter(pb.IncrementCounterRequest(counter_id="c"))).value == 1


async def test_calls_beyond_the_limit_are_refused_and_health_checks_are_not() -> None:
    store = SlowStore()
    async with serving(LimitSettings(concurrent_calls_max=1), store=store) as face:
        request = pb.IncrementCounterRequest(counter_id="c")
        waiting = asyncio.create_task(code_and_words(face.objects.IncrementCounter(request)))
        await store.committing.wait()
        code, words = await code_and_words(face.objects.IncrementCounter(request))
        assert code is CODE.RESOURCE_EXHAUSTED
        assert "2 calls under way, over the limit of 1 (setting limits.concurrent_calls_max)" in words
        assert (await face.health.Check(health_pb2.HealthCheckRequest())).status == 1
        store.back.set()
        assert await waiting == (CODE.OK, "")
        assert (await face.objects.IncrementCounter(request)).value == 2


async def test_an_answer_that_is_too_long_is_refused_with_the_setting() -> None:
    async with serving(LimitSettings(message_bytes_max=2000)) as face:
        for letter in "abc":
            await face.objects.AddToSet(pb.AddToSetRequest(set_id="s", element=letter * 900))
        code, words = await code_and_words(face.objects.GetSet(pb.GetSetRequest(set_id="s")))
        assert code is CODE.RESOURCE_EXHAUSTED
        assert "over the limit of 2000 (setting limits.message_bytes_max)" in words


async def test_every_call_shows_the_password_but_health_checks() -> None:
    async with serving(password=SHOWN) as face:
        request = pb.IncrementCounterRequest(counter_id="c")
        assert (await code_and_words(face.objects.IncrementCounter(request)))[0] is CODE.UNAUTHENTICATED
        assert (await face.health.Check(health_pb2.HealthCheckRequest())).status == 1
        metadata = (("authorization", f"Bearer {SHOWN}"),)
        assert (await face.objects.IncrementCounter(request, metadata=metadata)).value == 1
