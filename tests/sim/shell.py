"""A node: its store, and the process that runs on it, which is another shell of the production turn loop.

The turn loop (`workers.turns.loop`) decides what a turn takes and what leaves when; here are virtual time, and a commit
that can go wrong. A process sends the commit to its store, and lets the effects out once the store has confirmed it, as
`workers.turns.mailbox` and `workers.storage.store` do. An answer that does not come is looked up by the number of the
turn. A process can die at every point of that (`KILL_POINTS`), stall, and be succeeded by another while it still takes
itself for the owner. Every process comes to life by `start`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.deltas import decode_delta
from crdt_core.codec.messages import Answer, Push, carries_patch, encode_message
from crdt_core.errors import DamagedState, Malformed, Retired, Stopping, StoreUnavailable
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.membership.changes import AdmitIncarnation, RetireFormer
from crdt_core.membership.evidence import OperatorOverride
from crdt_core.membership.replay import GAVE_WAY, is_final, to_replay
from crdt_core.node.events import (
    Call,
    JobAnswer,
    LinksRead,
    MessagesRead,
    PatchAsked,
    PatchOffered,
    RecordsDiffer,
    ReplayAsked,
    Reply,
    RoundAsked,
    Send,
    SendFailed,
    Tick,
)
from crdt_core.replica.proof import CATALOGUE, Proof, collections_of, fields_of, hash_of
from crdt_core.types.members import Members
from tests.sim import checks
from tests.sim.addresses import address_of, host_of, known_members
from tests.sim.bootstrap import Bootstrap, disowned_by_peers, evidence_of_others
from tests.sim.flight import Flight, ObservedNode, Told, with_token
from tests.sim.persisted import all_records, load
from tests.sim.plan import EPOCH_MS, PLENTY, Setup
from tests.sim.store import Store
from tests.sim.tail import Nobody, Tail
from tests.sim.violation import require
from workers.storage.evidence import starting_mark
from workers.turns.loop import TurnLoop
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crdt_core.lattice.deltas import Address, Delta
    from crdt_core.lattice.siblings import Payload
    from crdt_core.membership.decisions import Start
    from crdt_core.node.events import Event
    from tests.sim.store import Watched
    from tests.sim.world import World

__all__ = ["KILL_POINTS", "Host", "Process", "start"]

KILL_POINTS = ("before the commit", "during the commit", "after the commit", "before the effects", "amid the effects")
_ANSWER_TIMEOUT_MS = 60
_RETRY_MS = 20
_TICK_MS = 250
_JOIN_MS = 100
_ROUNDS_MAX = 5
_SET_ASIDE = "only what was damaged, comes from strangers, or gives way to another value is set aside"
_UNKNOWN = "is no peer of {}"
"""The reason why a message is set aside whose sender has just been added, and is not known here yet."""
_NO_OVERRIDE = OperatorOverride()
_RESTART_MS = (0, 30, 300, 1500)
_BATCH = 64
_REPLAY_PIECE = 2
_STAGED_PIECE = 2
_CALL_TIMEOUT_S = 1.0


class Host:
    """One node of `world`, on a machine called `name`. `node` is the name of the node, as long as it keeps that.

    `skew_ms`: how far its wall clock is off. `kill_at`: the kill point at which its process dies next.
    `mishap`: what goes wrong with the next commit: its `request` or its `answer` is lost, or the request comes `late`.
    `succeeded`: processes that another has replaced, and that may not know it yet.
    `starting`: what the store says of a worker that starts.
    `lost`: the store has lost something that a process had confirmed.
    `spoilt`: somebody has deleted or altered what the store holds, and no process has noticed it yet.
    `set_right`: the hybrid clock was set right since the last commit. `out`: the node was told that it is no member.
    `found_members`: whom the latest start has found in the stores of all nodes.
    `waits_for`: what an operator could vouch for, so that the start need not wait.
    """

    def __init__(self, world: World, name: str, node: str = "") -> None:
        self.world = world
        self.name = name
        self.node = node or name
        self.store = Store()
        self.process: Process | None = None
        self.succeeded: list[Process] = []
        self.starts = 0
        self.starting = ""
        self.skew_ms = 0
        self.kill_at = ""
        self.mishap = ""
        self.confirmed_clock = VersionVector()
        self.lost = False
        self.spoilt = False
        self.set_right = False
        self.out = False
        self.found_members = Members({}, {})
        self.waits_for = ""

    @property
    def lives(self) -> bool:
        """Whether a process runs here that owns the store."""
        return self.process is not None and self.process.owner == self.store.watch().owner

    def receive(self, message: bytes) -> None:
        """A message has reached the inbox."""
        self.store.post(message)
        if self.process is not None:
            self.process.look_into_inbox()

    def executed(self, flight: Flight) -> None:
        """A commit has taken effect in the store: from now on everybody can read it."""
        commit = flight.commit
        written = sum(len(list(changes)) for changes in (*commit.earlier, commit.records))
        self.world.note(self.name, "executes turn", flight.turn, commit.delta or "", written, "records")
        for item in commit.quarantined:
            expected = item.content in self.world.damaged or item.reason.endswith(_UNKNOWN.format(self.node))
            require(expected or item.reason == GAVE_WAY, _SET_ASIDE, f"{self.name}: {item}")
        if commit.delta is not None:
            self.world.history.spent(
                commit.delta, flight.seen, flight.deeds(), set_right=self.set_right, replays=flight.replays
            )
            self.set_right = False
            self.world.counts["commits"] += 1
            for host in self.world.hosts.values():
                if host.process is not None:
                    host.process.log_grew(self.node)

    def lose(self) -> bool:
        """The store loses its last commits; returns whether there were any."""
        lost = self.store.lose_last(self.world.rng.randint(1, 4)) > 0
        if lost:
            self.lost = True
        return lost

    def kill(self, why: str) -> None:
        """Ends the process, with all that it had in memory; another starts later."""
        if self.process is not None:
            self.world.note(self.name, "dies", why)
            self.process.end()
            self.process = None
            self.world.later(self.world.rng.choice(_RESTART_MS), self.revive)

    def revive(self) -> None:
        """Starts a process where there is none, as soon as the store can be reached."""
        if self.process is None and self.store.down:
            self.world.later(_RETRY_MS, self.revive)
        elif self.process is None and not self.out:
            start(self)


@dataclass(slots=True)
class _Inbox:
    """What the process has read of its inbox."""

    handed_out: set[str]
    looking: bool = False


class Process:
    """One run of a node's worker.

    `flight` is the turn whose commit is under way; `trouble` says since when the store does not take it. `watched` is
    what the process knows of its store. `released_counter`: the counter of the commit whose effects leave, 0 for none.
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
        self._header = dict(host.store.header)
        self._formers = decided.formers
        self._replayed = decided.replayed
        self._turn_due = False
        self.flight: Flight | None = None
        self._stalled: list[Callable[[], None]] | None = None
        self._inbox = _Inbox(set())
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
        if not self._formers or not membership.is_admitted:
            return
        former, *later = self._formers
        if former not in self.node.replica.members.facts:
            self.put(Call(RetireFormer(self.host.node, former), Nobody()))
        elif is_final(self.node.replica, former):
            replayed, self._formers, self._replayed = self._replayed, later, 0
            self._replay(former, self._unsent(former), {}, later, replayed)

    def _replay(
        self,
        former: str,
        unsent: tuple[Delta, ...],
        before: dict[Address, Payload],
        later: Sequence[str],
        replayed: int,
    ) -> None:
        """Replays the next piece, and then the rest; in the end the log of the former id is not needed any more."""
        piece, rest = unsent[:_REPLAY_PIECE], unsent[_REPLAY_PIECE:]
        then = (
            partial(self._replay, former, rest, before, later, replayed)
            if rest
            else partial(self.host.store.logs.pop, former, None)
        )
        self.put(ReplayAsked(former, piece, Then(then), later, replayed, before, not rest))

    def _unsent(self, former: str) -> tuple[Delta, ...]:
        replica, found = self.node.replica, []
        for _, content in self.host.store.read_log(former, replica.clock_with_folded[former], PLENTY):
            with suppress(Malformed):
                found.append(decode_delta(content))
        asked = to_replay(replica, former, found)
        self.world.counts["deltas replayed"] += len(asked)
        return asked

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
        self._proofread()
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
                self.loop.submit(event.operation, told, self._now_s)
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
        if not self._inbox.looking:
            self._inbox.looking = True
            self.later(self.world.rng.randint(0, 2), self._read_inbox)

    def log_grew(self, peer: str) -> None:
        """The log of `peer` has a new entry."""
        for (name, _), tail in self._tails.items():
            if name == peer:
                tail.notify()

    def _read_inbox(self) -> None:
        self._inbox.looking = False
        if self.host.store.down:
            self.later(_RETRY_MS, self.look_into_inbox)
            return
        entries = self.host.store.unread(self._inbox.handed_out, _BATCH)
        if entries:
            self._inbox.handed_out.update(entry for entry, _ in entries)
            self.refresh_links()
            self.put(MessagesRead(entries))
            self.look_into_inbox()

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
            while self.node.prepare():
                checks.under_way(self)
            commit = self.loop.begin(EPOCH_MS + self.world.now_ms + self.host.skew_ms, self.world.now_ms)
        except Retired as end:
            self.world.counts["retired"] += 1
            self.give_up(str(end))
            return
        events = self.node.batch
        for event in events:
            dropped = isinstance(event, Call) and event.token.on_reply.is_dropped
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
        self._header.update({name.encode(): value for name, value in flight.commit.header.items()})
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

    def _proofread(self) -> None:
        """Compares what the store holds with memory, as `workers.storage.proofreading` does over many questions."""
        if self.host.store.down:
            return
        catalogue, differs = self.node.replica.catalogue, False
        proof = Proof(catalogue)
        for shelf in [CATALOGUE, *(shelf for key in catalogue.objects for shelf in collections_of(catalogue, key))]:
            found = self.host.store.hashes.get(hash_of(catalogue, shelf) or b"", {})
            fields = dict.fromkeys([*fields_of(catalogue, shelf), *found])
            wrong = proof.wrong(shelf, [(field, found.get(field)) for field in fields])
            if wrong:
                differs = True
                self.world.counts["records persisted again"] += len(wrong)
                self.put(RecordsDiffer(shelf, wrong))
        proof.end()
        if self.host.spoilt and not differs and self.flight is None:
            self.host.spoilt = False
            self.host.store.sync()

    def _write_anew(self, flight: Flight | None) -> None:
        """Writes the whole replica from memory, together with the turn under way, if there is one."""
        self.world.note(self.host.name, "writes everything anew")
        turn = self.confirmed_turn if flight is None else flight.turn
        changed = {**self.node.header(), **(flight.commit.header if flight is not None else {})}
        header = {**self._header, **{name.encode(): value for name, value in changed.items()}}
        self.host.store.rewrite(all_records(self.node.replica), header, turn)
        if flight is not None:
            self.host.store.drop_mail(flight.commit.acknowledged)
            if flight.commit.delta is not None:
                self.host.store.append(flight.commit.counter, flight.commit.delta)
            self.host.executed(flight)
        self.host.lost = False
        self.watched = self.host.store.watch()
        if flight is not None:
            self._confirm(flight)


class Then:
    """A token: `action` happens when the reply comes."""

    deed = None

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action

    def answer(self, _reply: Reply, _counter: int) -> None:
        """Takes the reply."""
        self._action()


def start(host: Host, override: OperatorOverride = _NO_OVERRIDE) -> None:
    """Starts a process on `host`: it claims the store, decides on its id, loads the replica, and begins to listen.

    From then on no former process of the host can commit, dead or alive.
    """
    host.starts += 1
    host.world.counts["restarts"] += host.starts > 1
    owner = f"{host.name}#{host.starts}"
    host.store.claim(owner)
    host.store.finish()
    host.starting = starting_mark(owner, host.store.run_id.decode())
    decide(host, owner, override)


def decide(host: Host, owner: str, override: OperatorOverride) -> None:
    """Has the process `owner` decide on its id, and then run. It decides anew where the state is damaged."""

    def run(decided: Start) -> None:
        try:
            _run(host, decided)
        except DamagedState as damaged:
            require(host.spoilt, "only a state that somebody has altered is found damaged", damaged.reason)
            host.world.note(host.name, "finds its state damaged:", damaged.reason)
            host.world.counts["damaged states found"] += 1
            host.store.header[b"damaged"] = damaged.reason.encode()
            decide(host, owner, override)

    Bootstrap(host, owner, override, run).decide()


def _run(host: Host, decided: Start) -> None:
    world = host.world
    met = {name: found.run_id for name, found in evidence_of_others(host).items() if found is not None}
    host.store.drop_mail([entry for entry, content in host.store.inbox.items() if carries_patch(content)])
    host.starting = ""
    setup = Setup.draw(world.rng)
    replica, header = load(decided.replica, host.store, setup.touched_max, decided.founders)
    session = f"s{host.starts}"
    node = ObservedNode(
        host.node,
        replica,
        session,
        sponsor=decided.sponsor,
        options=setup.options,
        hlc=HybridClock(header.hlc),
        departed=decided.departed,
    )
    node.stability.restore(host.store.header)
    if host.process is not None:
        host.succeeded.append(host.process)
    host.process = Process(host, node, setup, decided)
    host.process.met.update(met)
    world.note(host.name, "starts as", replica.id, "at", dict(replica.clock_with_folded))
    checks.started(host.process)
    host.process.begin()
