"""The gRPC server: it says that it serves, and that it stops."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support import wait_until_async
from tests.workers.rpc.face import code_and_words, serving
from workers.rpc import deltaic_pb2 as pb
from workers.system.ports import PortTaken
from workers.wire.retry import Trouble

CODE = grpc.StatusCode
SERVICES = ("deltaic.v1.CRDTService", "deltaic.v1.ReplicationService", "deltaic.v1.ControlService")


async def test_it_serves_every_service_until_it_stops() -> None:
    async with serving() as face:
        for service in ("", *SERVICES):
            answer = await face.health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await face.server.stop()
        code, _ = await code_and_words(face.objects.GetFlag(pb.GetFlagRequest(flag_id="f")))
        assert code is CODE.UNAVAILABLE


async def test_a_port_that_is_taken_is_named_with_the_setting() -> None:
    async with serving() as face, serving() as other:
        with pytest.raises(PortTaken, match=r"nodes\.n1\.grpc"):
            await other.server.start("n1", face.address)


async def test_it_describes_its_services_to_who_asks() -> None:
    async with serving() as face:
        stub = reflection_pb2_grpc.ServerReflectionStub(face.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        (answer,) = [answer async for answer in call]
        assert {service.name for service in answer.list_services_response.service} >= set(SERVICES)


async def test_health_checks_say_when_writes_cannot_succeed_and_when_they_can_again() -> None:
    status, request = health_pb2.HealthCheckResponse, health_pb2.HealthCheckRequest

    async def answers(wanted: int) -> bool:
        said = [(await face.health.Check(request(service=service))).status for service in ("", *SERVICES)]
        return said == [wanted] * 4

    async with serving() as face:
        await face.writability.set(Trouble(0, "Redis refuses: OOM"))
        await wait_until_async(lambda: answers(status.NOT_SERVING), what="the trouble to be told")
        assert (await face.control.Status(pb.StatusRequest())).trouble == "Redis refuses: OOM"
        await face.writability.set(None)
        await wait_until_async(lambda: answers(status.SERVING), what="its end to be told")
        assert not (await face.control.Status(pb.StatusRequest())).trouble
