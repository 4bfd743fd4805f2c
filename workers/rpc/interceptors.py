"""What every gRPC call passes on its way in and out: the password, the limits, errors as status codes.

gRPC for Python cannot bound connections. So two things are bounded instead: the calls under way over all connections
(further calls are refused; health checks do not count), and the bytes of each answer.
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
    """Refuses calls without the password. The caller does not learn whether there is such a method; nothing is read."""

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
    """Wraps every call of our services but backups, which see to themselves.

    gRPC looks the handler up for every call, and a method has the same handler for ever: so each is wrapped once.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(self, continuation: Continuation, handler_call_details: Details) -> Handler:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(_OURS):
            return handler
        wrapped = self._wrapped[method] = self._wrap_handler(handler)
        return wrapped

    def _wrap_handler(self, handler: grpc.RpcMethodHandler[Any, Any]) -> Handler:
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
        """Return the response of the handler `inner`; `None` of one that answers a stream, and writes to it itself."""


class Limits(_Interceptor):
    """Bounds the calls under way, and the answers: gRPC's own error for a long answer would not name the setting.

    A stream is one call. The batches under way in a stream are bounded where the stream is read.
    """

    def __init__(self, limits: LimitSettings) -> None:
        super().__init__()
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
    """End the call with the status of `error`."""
    await context.abort(*status_of(error))


def status_of(error: DeltaicError) -> tuple[grpc.StatusCode, str]:
    """Return the status code that the error's class names, and the error's one line."""
    return grpc.StatusCode[error.grpc_code], str(error)[:_DETAILS_MAX]


def _reading(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return `decode`, but with `None` for bytes that it cannot read. gRPC would blame an exception on the server."""

    def read(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return None

    return read
