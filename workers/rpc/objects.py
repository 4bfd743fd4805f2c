"""`CRDTService`: calls on objects, alone or in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.rpc import deltaic_pb2 as pb
from workers.rpc import deltaic_pb2_grpc as rpc
from workers.rpc.calls import OBJECT_CALLS, command_options
from workers.turns.commands import CommandRunner

if TYPE_CHECKING:
    import grpc

    from workers.config.settings import LimitSettings
    from workers.rpc.batches import Batches
    from workers.turns.mailbox import Mailbox

    Context = grpc.aio.ServicerContext[Any, Any]

__all__ = ["Objects"]


class Objects(rpc.CRDTServiceServicer):
    """The calls, by their names in the contract."""

    def __init__(self, mailbox: Mailbox, limits: LimitSettings, batches: Batches) -> None:
        self._runner = CommandRunner(mailbox, command_options(limits))
        self._limits = limits
        self._batches = batches

    async def IncrementCounter(self, request: pb.IncrementCounterRequest, context: Context) -> Any:
        return await self._do("increment_counter", request)

    async def DecrementCounter(self, request: pb.DecrementCounterRequest, context: Context) -> Any:
        return await self._do("decrement_counter", request)

    async def GetCounter(self, request: pb.GetCounterRequest, context: Context) -> Any:
        return await self._do("get_counter", request)

    async def AddToSet(self, request: pb.AddToSetRequest, context: Context) -> Any:
        return await self._do("add_to_set", request)

    async def RemoveFromSet(self, request: pb.RemoveFromSetRequest, context: Context) -> Any:
        return await self._do("remove_from_set", request)

    async def GetSet(self, request: pb.GetSetRequest, context: Context) -> Any:
        return await self._do("get_set", request)

    async def SetRegister(self, request: pb.SetRegisterRequest, context: Context) -> Any:
        return await self._do("set_register", request)

    async def GetRegister(self, request: pb.GetRegisterRequest, context: Context) -> Any:
        return await self._do("get_register", request)

    async def SetFlag(self, request: pb.SetFlagRequest, context: Context) -> Any:
        return await self._do("set_flag", request)

    async def GetFlag(self, request: pb.GetFlagRequest, context: Context) -> Any:
        return await self._do("get_flag", request)

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> Any:
        return await self._do("delete", request)

    async def Batch(self, request: pb.BatchRequest, context: Context) -> pb.BatchResponse:
        return await self._batches.alone(request)

    async def StreamBatches(self, requests: Any, context: Context) -> None:
        await self._batches.stream(context)

    async def _do(self, name: str, request: Any) -> Any:
        """Return the response to a call that comes alone."""
        call = OBJECT_CALLS[name]
        reply = await self._runner.run(call.command, call.args(request, self._limits))
        response = call.response()
        call.tell(response, reply)
        return response
