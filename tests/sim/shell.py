"""A process of a node, which is another shell of the production turn loop.

The turn loop (`workers.turns.loop`) decides what a turn takes and what leaves when; here are virtual time, and a commit
that can go wrong. A process sends the commit to its store, and lets the effects out once the store has confirmed it, as
`workers.turns.mailbox` and `workers.storage.store` do. An answer that does not come is looked up by the number of the
turn. A process can die at every point of that (`KILL_POINTS`), stall, and be succeeded by another while it still takes
itself for the owner.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.messages import Answer, Push, encode_message
from crdt_core.errors import Retired, Stopping, StoreUnavailable
from crdt_core.membership.changes import AdmitIncarnation
from crdt_core.node.events import (
    Call,
    JobAnswer,
    LinksRead,
    PatchAsked,
    PatchOffered,
    Reply,
    RoundAsked,
    Send,
    SendFailed,
    Tick,
)
from tests.sim import checks
from tests.sim.addresses import address_of, host_of, known_members
from tests.sim.bootstrap import disowned_by_peers
from tests.sim.flight import Flight, ObservedNode, Told, with_token
from tests.sim.formers import Formers
from tests.sim.inbox import Inbox
from tests.sim.losses import proofread, write_anew
from tests.sim.plan import EPOCH_MS, PLENTY, Setup
from tests.sim.tail import Nobody, Tail, Then
from tests.sim.violation import require
from workers.turns.loop import CallbackWaiter, TurnLoop
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crdt_core.membership.decisions import Start
    from crdt_core.node.events import Event
    from tests.sim.host import Host
    from tests.sim.store import Watched

__all__ = ["KILL_POINTS", "Process"]

KILL_POINTS = ("before the commit", "during the commit", "after the commit", "before the effects", "amid the effects")
_ANSWER_TIMEOUT_MS = 60
_RETRY_MS = 20
_TICK_MS = 250
_JOIN_MS = 100
_ROUNDS_MAX = 5
_STAGED_PIECE = 2
_CALL_TIMEOUT_S = 1.0


class Process:
    """One run of a node's worker.

    `flight` is the turn whose commit is under way; `trouble` says since when the store does not take it. `watched` is
    what the process knows of its store, `header` the header that it has confirmed. `released_counter`: the counter of
    the commit whose effects leave, 0 for none.
    """

    def __init__(self, host: Host, node: ObservedNode, setup: Setup, decided: Start) -> None:
        watched = host.store.watch()
        self.host = host
        self.node = node
        self.world = host.world
        self.setup = setup
        self.alive = True
        self.confirmed_turn = watched.turn
        self.confirmed_clock = node.replica.clock_with_folded.copy()
        self.watched = watched
        self.owner = watched.owner
        self.trouble: Trouble | None = None
        self.loop = TurnLoop(node, self, self._wake, call_timeout_s=_CALL_TIMEOUT_S, calls_waiting_max=PLENTY)
        self.released_counter = 0
        self._sponsor = decided.sponsor
        self.header = dict(host.store.header)
        self._formers = Formers(self, decided)
        self._turn_due = False
        self.flight: Flight | None = None
        self._stalled: list[Callable[[], None]] | None = None
        self._inbox = Inbox(self)
        self._links: frozenset[str] | None = None
        self._tails: dict[tuple[str, str], Tail] = {}
        self.met: dict[str, str] = {}

    # Life

    def begin(self) -> None:
        """Begins to read links, logs and the inbox."""
        self.refresh_links()
        self._follow_members()
        self._join(_ROUNDS_MAX)
        self.look_into_inbox()
        self.beat()

    def wake_tails(self) -> None:
        """Has every tail look at its log."""
        for tail in self._tails.values():
            tail.notify()

    def _follow_members(self) -> None:
        """Reads the logs of all members, and replays what a former id had not sent, once that is final."""
        membership = self.node.membership
        wanted = membership.logs_to_read
        for gone in sorted(self._tails.keys() - wanted):
            self._tails.pop(gone).end()
        for peer, replica in sorted(wanted - self._tails.keys()):
            self._tails[peer, replica] = tail = Tail(self, peer, replica, self.setup.batch)
            tail.read_soon()
        self._formers.advance()

    def _join(self, rounds: int) -> None:
        """Asks the sponsor until the replica is a member; gives up in the end, as another start may find another."""
        node, sponsor = self.node, self._sponsor
        if not node.joins:
            return
        if sponsor is None:
            address = address_of(self.host)
            self.put(Call(AdmitIncarnation(self.host.node, node.replica.id, address, address), Nobody()))
        elif rounds:
            again = partial(self.later, _JOIN_MS, partial(self._join, rounds - 1))
            self.put(RoundAsked((sponsor.node,), Then(again)))
        else:
            self.give_up("as its sponsor is silent")

    def give_up(self, why: str) -> None:
        """Ends, to start anew."""
        if self.host.process is self:
            self.host.kill(why)
        else:
            self.end()

    def end(self) -> None:
        """The process does nothing more."""
        self.alive = False
        self.world.counts["sync: deltas tailed"] += self.node.counts["deltas_applied"]

    def stall(self) -> None:
        """Stops the process in the middle of whatever it does, as SIGSTOP does."""
        self._stalled = self._stalled or []

    def resume(self) -> None:
        """Continues a stalled process."""
        stalled, self._stalled = self._stalled or [], None
        for action in stalled:
            self.later(0, action)

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Has `action` happen in this process, unless it is dead by then."""
        self.world.later(delay_ms, partial(self._act, action))

    def _act(self, action: Callable[[], None]) -> None:
        if self.alive and self._stalled is not None:
            self._stalled.append(action)
        elif self.alive:
            action()

    def _die_at(self, point: str) -> bool:
        """Whether the process dies here."""
        if self.host.kill_at != point or self.host.process is not self:
            return False
        self.host.kill_at = ""
        self.host.kill(point)
        self.world.counts[f"fault: killed {point}"] += 1
        return True

    # What comes in

    def beat(self) -> None:
        """Again and again: a tick, and a look at who waits for too long and whether the store has lost commits."""
        self.put(Tick())
        self._tell(self.loop.give_up_late(self._now_s))
        if self.flight is None:
            self._watch_store()
        proofread(self)
        if not self.node.replica.founders and (reason := disowned_by_peers(self.host)):
            self.give_up(reason)
            return
        if not self.world.resting:
            self.later(_TICK_MS, self.beat)

    def put(self, event: Event) -> None:
        """Puts an event into the turn loop; its token, if it has one, is told the reply."""
        token = getattr(event, "token", None)
        if token is None:
            self.loop.put(event)
            return
        told = Told(self, token)
        try:
            if isinstance(event, Call):
                self.loop.submit(event.operation, CallbackWaiter(told), self._now_s)
            elif isinstance(event, PatchAsked | PatchOffered):
                self.loop.ask_in_time(partial(with_token, event), told, self._now_s)
            else:
                self.loop.ask(partial(with_token, event), told)
        except (StoreUnavailable, Stopping) as error:
            told(None, error)

    def refresh_links(self) -> frozenset[str]:
        """The peers that the node does not listen to now, as its own Redis says."""
        paused = self.host.store.links
        if paused != self._links:
            self._links = paused
            self.put(LinksRead(paused))
        return paused

    def look_into_inbox(self) -> None:
        """Reads the inbox soon, as something may have arrived."""
        self._inbox.look()

    def log_grew(self, peer: str) -> None:
        """The log of `peer` has a new entry."""
        for (name, _), tail in self._tails.items():
            if name == peer:
                tail.notify()

    # Turns

    @property
    def _now_s(self) -> float:
        return self.world.now_ms / 1000

    def _wake(self) -> None:
        if not self._turn_due and self.flight is None:
            self._turn_due = True
            self.later(self.world.rng.randint(0, 1), self._take_turn)

    def _take_turn(self) -> None:
        self._turn_due = False
        if self.flight is not None or not self.loop.is_due:
            return
        try:
            while self.node.large.prepare():
                checks.under_way(self)
            commit = self.loop.begin(EPOCH_MS + self.world.now_ms + self.host.skew_ms, self.world.now_ms)
        except Retired as end:
            self.world.counts["retired"] += 1
            self.give_up(str(end))
            return
        events = self.node.batch
        for event in events:
            dropped = isinstance(event, Call) and event.token.listener.is_dropped
            require(not dropped, "a call of which nothing was changed is not run later", self.host.name)
        self.host.set_right |= self.node.counts.pop("clock_set_right", 0) > 0
        self.world.note(self.host.name, "turns on", *(type(event).__name__ for event in events))
        if commit is None:
            self.release(0)
            return
        if commit.records or commit.earlier:
            checks.under_way(self)
        seen = self.node.replica.clock_with_folded.copy()
        if commit.delta is not None:
            seen[self.node.replica.id] -= 1
        self.flight = Flight(commit, self.confirmed_turn + 1, events, seen)
        if not self._die_at("before the commit"):
            self.send_commit()

    def send_commit(self) -> None:
        """Sends the commit on its way. What the process knows of it afterwards is only what it is answered."""
        flight, world, watched = self.flight, self.world, self.watched
        assert flight is not None
        mishap, self.host.mishap = self.host.mishap, ""
        if mishap:
            world.counts[f"fault: commit's {mishap}"] += 1
            world.note(self.host.name, "loses", mishap, "of turn", flight.turn)
        if mishap != "request":
            delay_ms = world.rng.randint(0, 3) + (2 * _ANSWER_TIMEOUT_MS if mishap == "late" else 0)
            world.later(delay_ms, partial(self._execute, flight, watched.version, answers=not mishap))
        if mishap:
            self.later(_ANSWER_TIMEOUT_MS, partial(self.look_up, flight))
        self._die_at("during the commit")

    def _execute(self, flight: Flight, version: int, *, answers: bool) -> None:
        """The store's side: it executes what arrives, even from a process that has died since."""
        store = self.host.store
        if store.down:
            self.later(_ANSWER_TIMEOUT_MS, partial(self.look_up, flight))
            return
        if store.execute(flight.commit, flight.turn, version):
            self.host.executed(flight)
        if answers and not self._die_at("after the commit"):
            self.later(self.world.rng.randint(0, 3), partial(self._take_answer, flight, store.watch()))

    def look_up(self, flight: Flight) -> None:
        """Connects anew, and looks which turn the store is at."""
        if self.trouble is None:
            self.trouble = Trouble(self._now_s, "no answer")
        if self.host.store.down:
            self.later(_RETRY_MS, partial(self.look_up, flight))
        else:
            self._take_answer(flight, self.host.store.watch())

    def _take_answer(self, flight: Flight, watched: Watched) -> None:
        if flight is not self.flight or not self._still_owns(watched):
            return
        if watched.turn >= flight.turn:
            self._apply(flight)
        elif watched.turn < self.confirmed_turn:
            self._write_anew(flight)
        else:
            self.send_commit()

    def _apply(self, flight: Flight) -> None:
        """Applies what is staged of the commit, some of it at a time, and then confirms the commit."""
        store = self.host.store
        if not store.staged:
            self._confirm(flight)
        elif not self._die_at("before the effects"):
            store.apply(_STAGED_PIECE)
            self.world.counts["commits applied in pieces"] += not store.staged
            self.later(self.world.rng.randint(0, 3), partial(self._apply_more, flight))

    def _apply_more(self, flight: Flight) -> None:
        if self.host.store.down:
            self.look_up(flight)
        else:
            self._take_answer(flight, self.host.store.watch())

    def _still_owns(self, watched: Watched) -> bool:
        self.watched = watched
        if watched.owner != self.owner:
            self.world.note(self.host.name, "is fenced", self.owner)
            self.world.counts["fenced"] += 1
            self._tell(self.loop.end())
            self.end()
            return False
        return True

    def _confirm(self, flight: Flight) -> None:
        self.confirmed_turn = flight.turn
        self.header.update({name.encode(): value for name, value in flight.commit.header.items()})
        self.flight = self.trouble = None
        if self._die_at("before the effects"):
            return
        self.loop.confirm()
        checks.confirmed(self)
        self._follow_members()
        self.release(flight.commit.counter)
        if self.loop.is_due:
            self._wake()

    # What goes out

    def release(self, counter: int) -> None:
        """Lets out the effects of a turn, whose commit has `counter`; 0 if the node itself wrote nothing."""
        self.released_counter = counter
        for number, effect in enumerate(self.loop.release()):
            if number and self._die_at("amid the effects"):
                return
            if isinstance(effect, Reply):
                self._tell([effect])
            elif isinstance(effect, Send):
                self._send(effect)
            elif isinstance(effect, JobAnswer):
                self.world.counts["jobs answered"] += 1

    def _tell(self, replies: Iterable[Reply]) -> None:
        for reply in replies:
            reply.token.on_reply(reply.result, reply.error)

    def _send(self, effect: Send) -> None:
        message = effect.message
        if isinstance(message, Answer | Push):
            kind = "full states" if message.patch.since is None else "incremental patches"
            self.world.counts[f"sync: {kind} sent"] += 1
        self.world.note(self.host.name, "sends", type(message).__name__, "to", effect.peer)
        failed = SendFailed(effect.peer, message.round if hasattr(message, "round") else "")
        fail = partial(self._act, partial(self.put, failed))
        found = host_of(self.world, known_members(self), effect.peer)
        self.world.network.send(self.host.name, found.name if found else effect.peer, encode_message(message), fail)

    # A store that has lost what it had confirmed

    def _watch_store(self) -> None:
        """Looks whether the store still has what it confirmed, as the heartbeat does."""
        if self.host.store.down:
            return
        watched = self.host.store.watch()
        if self._still_owns(watched) and watched.turn < self.confirmed_turn:
            self._write_anew(None)

    def _write_anew(self, flight: Flight | None) -> None:
        write_anew(self, flight)
        self.watched = self.host.store.watch()
        if flight is not None:
            self._confirm(flight)
