"""The replica worker: runs one node in this process until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import structlog

from crdt_core.errors import Retired
from crdt_core.membership.evidence import OperatorOverride
from workers.config.loading import with_name
from workers.worker.bootstrap import Renamed
from workers.worker.joining import SponsorSilent
from workers.worker.life import Life

if TYPE_CHECKING:
    from workers.config.settings import FleetSettings

__all__ = ["run_worker"]

log = structlog.get_logger()


async def run_worker(
    settings: FleetSettings, name: str, *, takeover: bool = False, override: OperatorOverride | None = None
) -> None:
    """Run node `name` until this process is told to stop.

    If the fleet has retired the node's replica id, the node begins again under a new one. If another machine keeps the
    name, this one goes on under that of its addition. If it is started under that name, and has written under the other
    one, it takes that up first. Raises `UnknownNode`, `NotAMember`, `AlreadyRunning` or `PortTaken` where the node
    cannot run; `Fenced` or `InvariantBroken` where it has to stop; `StoreUnavailable` where Redis was away when it was
    told to stop.
    """
    settings.node(name)
    given, section = settings, name
    stop = _stop_signal()
    while not stop.done():
        try:
            await Life(settings, name, stop, override or OperatorOverride()).run(takeover=takeover)
        except Retired as retired:
            log.warning("replica_retired", node=name, replica=retired.replica, reason=retired.reason)
        except Renamed as renamed:
            if renamed.is_former:
                log.info("former_name_found", node=name, former=renamed.node)
            else:
                remedy = f"call its section [nodes.{renamed.node}] in the fleet file, and its jobs and cron likewise"
                done = {} if renamed.node == section else {"remedy": remedy}
                log.warning("node_renamed", node=name, to=renamed.node, **done)
            settings, name = with_name(given, section, renamed.node), renamed.node
        except SponsorSilent as silent:
            log.warning("sponsor_timed_out", node=name, sponsor=silent.sponsor, reason="it sent no state")


def _stop_signal() -> asyncio.Future[None]:
    """Return a future that is done when this process gets SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def request() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request)
    return stop
