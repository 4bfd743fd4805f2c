"""What every gRPC call passes on its way in and out: the password, the limits, errors as status codes.

gRPC for Python cannot bound connections, so what they can do is bounded: calls under way over all of them (those beyond
are refused, and health checks not counted among them), and the bytes of each answer.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health

from crdt_core.errors import DeltaicError, InvalidArgument, TooMany, Unauthenticated
from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from workers.config.credentials import Credentials
    from workers.config.settings import LimitSettings

    Context = grpc.aio.ServicerContext[Any, Any]
    Details = grpc.HandlerCallDetails
    Handler = grpc.RpcMethodHandler[Any, Any] | None
    Continuation = Callable[[Details], Awaitable[Handler]]

__all__ = ["Admission", "ErrorsAsStatus", "Limits", "abort", "status_of"]

_HEALTH = f"/{health.SERVICE_NAME}/"
_OURS = f"/{pb.DESCRIPTOR.package}."
_DETAILS_MAX = 1000
"""Characters of an error's line: details travel in a header, and headers have a limit of their own."""


class Admission(grpc.aio.ServerInterceptor):
    """Refuses calls without the password, before it is told whether there is such a method, or the request is read."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def intercept_service(self, continuation: Continuation, handler_call_details: Details) -> Handler:
        metadata = handler_call_details.invocation_metadata or ()
        if handler_call_details.method.startswith(_HEALTH) or self._credentials.admits(metadata):
            return await continuation(handler_call_details)

        async def refuse(_requests: Any, context: Context) -> None:
            await abort(context, Unauthenticated())

        return grpc.stream_stream_rpc_method_handler(refuse)


class _Interceptor(grpc.aio.ServerInterceptor):
    """Wraps every call of our services but backups, which see to themselves."""

    async def intercept_service(self, continuation: Continuation, handler_call_details: Details) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_OURS):
            return handler
        both_ways = getattr(handler, "stream_stream", None)
        inner = both_ways or getattr(handler, "unary_unary", None)
        if inner is None:
            return handler

        async def wrapped(request: Any, context: Context) -> Any:
            return await self.wrap(inner, request, context)

        make = grpc.stream_stream_rpc_method_handler if both_ways else grpc.unary_unary_rpc_method_handler
        return make(
            wrapped,
            request_deserializer=_reading(handler.request_deserializer or bytes),
            response_serializer=handler.response_serializer,
        )

    @abstractmethod
    async def wrap(self, inner: Callable[[Any, Context], Awaitable[Any]], request: Any, context: Context) -> Any:
        """The response of the handler `inner`; `None` of one that answers a stream, and writes to it itself."""


class Limits(_Interceptor):
    """Bounds the calls under way, and the answers: gRPC's own error for a long one would not name the setting.

    A stream is one call; what is under way in it is bounded where it is read.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._under_way = 0

    async def wrap(self, inner: Callable[[Any, Context], Awaitable[Any]], request: Any, context: Context) -> Any:
        most = self._limits.concurrent_calls_max
        if self._under_way >= most:
            setting = "limits.concurrent_calls_max"
            await abort(context, TooMany("call", self._under_way + 1, most, "calls under way", setting))
        self._under_way += 1
        try:
            response = await inner(request, context)
        finally:
            self._under_way -= 1
        size, most = 0 if response is None else response.ByteSize(), self._limits.message_bytes_max
        if size > most:
            await abort(context, TooMany("answer", size, most, "bytes", "limits.message_bytes_max"))
        return response


class ErrorsAsStatus(_Interceptor):
    """Turns the errors of the tree into status codes, and bytes that are no request into one of them."""

    async def wrap(self, inner: Callable[[Any, Context], Awaitable[Any]], request: Any, context: Context) -> Any:
        try:
            if request is None:
                raise InvalidArgument("request", "its bytes are no message of this call")
            return await inner(request, context)
        except DeltaicError as error:
            await abort(context, error)


async def abort(context: Context, error: DeltaicError) -> NoReturn:
    """Ends the call with the status of `error`."""
    await context.abort(*status_of(error))


def status_of(error: DeltaicError) -> tuple[grpc.StatusCode, str]:
    """The status code that the error's class names, and its one line."""
    return grpc.StatusCode[error.grpc_code], str(error)[:_DETAILS_MAX]


def _reading(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """`decode`, yielding `None` for bytes that it cannot read: what it raises would be the server's fault to gRPC."""

    def read(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return None

    return read
