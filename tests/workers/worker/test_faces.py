"""The faces of a worker: which there are, and how long they wait for their ports."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import SettingsError
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.support import free_port
from workers.config.credentials import Credentials
from workers.config.loading import checked
from workers.replication.broadcasts import Broadcasts
from workers.replication.skew import Skew
from workers.resp import RespFace
from workers.rpc.server import GrpcFace
from workers.system.ports import PortTaken
from workers.turns.mailbox import Mailbox
from workers.worker.faces import NamedFace, faces_of, start_face

if TYPE_CHECKING:
    from pathlib import Path


def faces(**node: str) -> list[NamedFace]:
    """The faces of n1 with the settings `node`; `resp_certificate` and `resp_key` are those of the security section."""
    security = {name: node.pop(name) for name in list(node) if name.startswith("resp_")}
    n1 = {"grpc": "127.0.0.1:7101", "redis": "redis://127.0.0.1:7000/0", **node}
    settings = checked({"nodes": {"n1": n1}, "security": security})
    nothing: Any = None
    replica = Node("n1", Replica("n1", founders=["n1"]), "s")
    mailbox = Mailbox(replica, nothing, lambda _: None, call_timeout_s=1)
    skew = Skew(replica, nothing, 500)
    room = {"skew": skew, "writability": nothing, "broadcasts": Broadcasts(mailbox, nothing, nothing)}
    return faces_of(settings, mailbox, nothing, nothing, **room, credentials=Credentials())


async def test_grpc_is_always_served_and_the_redis_protocol_where_the_settings_say_so() -> None:
    (grpc,) = faces(bind="0.0.0.0:7101")
    assert (grpc.name, type(grpc.face), grpc.address) == ("grpc", GrpcFace, "0.0.0.0:7101")
    _, resp = faces(resp="127.0.0.1:7201")
    assert (resp.name, type(resp.face), resp.address) == ("resp", RespFace, "127.0.0.1:7201")


async def test_files_that_cannot_be_used_are_said_before_anything_is_served(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(SettingsError, match=r"security\.resp_certificate: .*missing\.pem cannot be read"):
        faces(resp="127.0.0.1:7201", resp_certificate=missing, resp_key=missing)


async def test_a_port_that_is_taken_is_waited_for_only_with_patience() -> None:
    """After a takeover, the worker that was fenced needs a moment to give its ports up."""
    port = free_port()
    _, resp = faces(resp=f"127.0.0.1:{port}")
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTaken):
            await start_face(resp, "n1", 0)
        starting = asyncio.create_task(start_face(resp, "n1", 10))
        await asyncio.wait([starting], timeout=0.3)
        assert not starting.done()
    await starting
    await resp.face.stop()


async def test_a_face_that_was_never_started_can_be_stopped() -> None:
    await asyncio.gather(*(face.face.stop() for face in faces(resp="127.0.0.1:7201")))
