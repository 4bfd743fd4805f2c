"""Taking plain commands: all that arrived together go to the mailbox together, and reads are answered at once."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from crdt_core.commands import CommandError, Session
from crdt_core.errors import DeltaicError
from workers.resp.large_reads import encoding
from workers.resp.refusals import refusal, too_large
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections import deque

    from crdt_core.commands import Command
    from workers.resp.careful import Request
    from workers.resp.context import Client
    from workers.resp.replies import Replies

__all__ = ["take_plain_commands"]

_BATCH_MAX = 1024


def take_plain_commands(  # noqa: C901, PLR0912, PLR0915  a call per command would cost about as much as the command
    client: Client,
    replies: Replies,
    requests: deque[Request],
    command: Command[Session],
    *,
    may_be_large: bool,
) -> bool:
    """Take the plain commands at the head of `requests` that may go on together; return whether it took any.

    `command` is the row of the first one. Writes go to the mailbox as one operation. Reads behind writes go the same
    way, so that they see them; heavy reads wait instead. All other reads are answered at once, from the last confirmed
    state, unless they are large (`workers.resp.large_reads`). `may_be_large`: an argument behind the first request may
    be over its limit.
    """
    services = client.services
    spellings, statistics = services.table.spellings, services.statistics
    is_behind = bool(replies.waiting)
    commands: list[tuple[Command[Session], list[bytes]]] = []
    session: Session | None = None
    taken = 0
    run, run_began_s = 0, perf_counter()  # so many reads of one kind were answered since then
    while True:
        request = requests[0]
        if command.writes or ((commands or is_behind) and not command.heavy):
            if len(commands) >= _BATCH_MAX:
                break
            del request[0]
            commands.append((command, request))
        elif command.sliced is not None and not (commands or is_behind) and services.node.is_large(command, request):
            del request[0]
            commands.append((encoding(command, resp3=client.resp3), request))
        elif commands or is_behind:
            break
        else:
            del request[0]
            try:
                if session is None:
                    session = Session(services.node.state, wall_ms(), services.next_seed(), services.options)
                reply: Any = command.run(session, request)
            except DeltaicError as error:
                reply = refusal(error)
                statistics.failed[command.name] += 1
            replies.emit(reply)
            run += 1
        requests.popleft()
        taken += 1
        if not requests or replies.is_slow:
            break
        before, request = command, requests[0]
        found = spellings.get(request[0])
        if found is None or found.arity != len(request) or found.members:
            try:
                found = services.table.find(request)
            except CommandError:
                break
        command = found
        if run and command is not before:
            statistics.answered(before, run, perf_counter() - run_began_s)
            run, run_began_s = 0, perf_counter()
        if command.connected or (may_be_large and too_large(command, requests[0], services.limits) is not None):
            break
    if run:
        statistics.answered(command, run, perf_counter() - run_began_s)
    if session is not None:
        statistics.hits += session.hits
        statistics.misses += session.misses
    if commands:
        client.execute(commands)
    return taken > 0
