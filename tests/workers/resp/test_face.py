"""The port of the face: it serves, it may be taken, and it ends politely."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import free_port
from tests.workers.resp.inprocess import InProcess
from tests.workers.resp.raw import packed
from workers.system.ports import PortTaken


async def test_it_serves_at_its_port_until_it_is_stopped() -> None:
    async with InProcess() as made:
        port = free_port()
        await made.face.start("n1", f"127.0.0.1:{port}")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(packed(b"INCR", b"c") + packed(b"CONFIG", b"GET", b"port"))
        assert await reader.readexactly(4) == b":1\r\n"
        assert b"%d" % port in await reader.readuntil(b"%d\r\n" % port)
        await made.face.stop()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match=str(port)):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_names_the_setting() -> None:
    async with InProcess() as one, InProcess() as other:
        address = f"127.0.0.1:{free_port()}"
        await one.face.start("n1", address)
        with pytest.raises(PortTaken, match=r"nodes\.n1\.resp"):
            await other.face.start("n1", address)
        await one.face.stop()


async def test_what_is_under_way_is_answered_before_the_end() -> None:
    async with InProcess() as made:
        port = free_port()
        await made.face.start("n1", f"127.0.0.1:{port}")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        made.store.back.clear()
        writer.write(packed(b"INCR", b"c"))
        await made.store.committing.wait()
        stopping = asyncio.create_task(made.face.stop())
        made.store.back.set()
        await stopping
        assert await reader.read() == b":1\r\n"
        writer.close()
