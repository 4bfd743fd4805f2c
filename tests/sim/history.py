"""The simulator's own record of a run: which replica did what, and what it had seen by then.

A replica's clock names a set of acts (`visible`). What the replica must show follows from that set, by the models of
the types (`tests.crdt_core.types.models`). What it must hold is a comprehension over the writes (`siblings`). Commits
have bits, as acts have.

A dot is spent when its commit takes effect in the store, because others can read it from then on. The record keeps the
bytes of every spent dot for ever. A second commit under the same dot is the worst bug there is, and fails the run here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.codec.deltas import decode_delta
from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, ObservedReset
from tests.crdt_core.types.models.account import Account
from tests.crdt_core.types.models.model import Operation as Deed
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crdt_core.lattice.deltas import Address

__all__ = ["Deed", "History"]


class _Written(NamedTuple):
    """One write of a commit. Its `bit` and `past` are those of commits."""

    bit: int
    past: int
    dot: Dot
    payload: Any


@dataclass(slots=True)
class _Line:
    """One replica's commits in order. After each commit: the bits of all so far, and what that commit had seen.

    `set_right`: the commits that were made after the hybrid clock had been set back to wall time. `stays_right`: such a
    commit was lost; the header may still hold the clock that was set back.
    """

    acts: list[int] = field(default_factory=lambda: [0])
    commits: list[int] = field(default_factory=lambda: [0])
    pasts: list[int] = field(default_factory=lambda: [0])
    deltas: list[bytes] = field(default_factory=lambda: [b""])
    stamps: list[Stamp] = field(default_factory=lambda: [Stamp(0, -1)])
    set_right: set[int] = field(default_factory=set)
    stays_right: bool = False
    acknowledged: int = 0


class History:
    """All commits of a run."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)
        self._account = Account()
        self._writes: defaultdict[Address, list[_Written]] = defaultdict(list)
        self.unspecified: set[bytes] = set()
        self._commits_count = 0

    # What happened

    def spent(
        self,
        delta: bytes,
        seen: Mapping[str, int],
        deeds: Sequence[Deed],
        *,
        set_right: bool = False,
        replays: bool = False,
    ) -> Dot:
        """Record a commit that has taken effect: its delta, the clock `seen` it was made on, and what its commands did.

        `set_right`: the hybrid clock was set back to wall time since the last commit. `replays`: the commit also
        repeats what a former id of the node had done; what shows under those keys is not specified then.
        """
        decoded = decode_delta(delta)
        line = self._lines[decoded.dot.replica]
        before = self.delta(*decoded.dot)
        if before is not None:
            require(delta == before, "no dot is spent twice", f"{before!r}, then {delta!r}")
            return decoded.dot
        require(decoded.dot.counter == len(line.deltas), "no dot is left out", str(decoded.dot))
        set_right = set_right or line.stays_right
        grew = set_right or decoded.hlc > line.stamps[-1]
        require(grew, "hybrid clocks only grow, unless set right", f"{decoded.dot}: {decoded.hlc}")
        line.stays_right = False
        if set_right:
            line.set_right.add(decoded.dot.counter)
        line.acts.append(line.acts[-1] | self._account.record(decoded.dot, self.visible(seen), deeds))
        line.pasts.append(self.commits(seen))
        bit = 1 << self._commits_count
        self._commits_count += 1
        line.commits.append(line.commits[-1] | bit)
        line.deltas.append(delta)
        line.stamps.append(decoded.hlc)
        for key, type_name, part, payload in decoded.writes:
            written = _Written(bit, line.pasts[-1], decoded.dot, payload)
            self._writes[key, type_name, part].append(written)
            if replays:
                self.unspecified.add(key)
        return decoded.dot

    def acknowledge(self, replica: str, counter: int) -> None:
        """Record that a caller was told that commit `counter` of `replica` is safe."""
        line = self._lines[replica]
        line.acknowledged = max(line.acknowledged, counter)

    def resumed(self, replica: str, counter: int) -> None:
        """Forget the commits of `replica` after `counter`: its store has lost them, and no other node has seen them.

        If the hybrid clock was set back before one of them, the next commit may be made after that, too: an earlier
        commit, of other changes, may have written the clock into the header that the store still has.
        """
        line = self._lines[replica]
        lost = {made for made in line.set_right if made > counter}
        line.set_right -= lost
        line.stays_right |= bool(lost)
        for values in (line.acts, line.commits, line.pasts, line.deltas, line.stamps):
            del values[counter + 1 :]  # type: ignore[attr-defined]
        line.acknowledged = min(line.acknowledged, counter)

    # What must hold

    @property
    def keys(self) -> list[bytes]:
        """Every key that something was done to."""
        return [key for key in self._account.keys if key not in self.unspecified]

    def acknowledged(self, replica: str) -> int:
        """Return the highest commit of `replica` that a caller was told is safe."""
        return self._lines[replica].acknowledged

    def made(self) -> dict[str, int]:
        """Return how many commits each replica has made."""
        return {replica: len(line.deltas) - 1 for replica, line in sorted(self._lines.items()) if len(line.deltas) > 1}

    def delta(self, replica: str, counter: int) -> bytes | None:
        """Return the bytes of one commit's delta; `None` if the commit was never made."""
        deltas = self._lines[replica].deltas
        return deltas[counter] if 0 < counter < len(deltas) else None

    def visible(self, clock: Mapping[str, int]) -> int:
        """Return the acts that a replica at `clock` has seen."""
        seen = 0
        for replica, counter in clock.items():
            seen |= self._line(replica, counter).acts[counter]
        return seen

    def commits(self, clock: Mapping[str, int]) -> int:
        """Return the commits that a replica at `clock` has seen."""
        seen = 0
        for replica, counter in clock.items():
            seen |= self._line(replica, counter).commits[counter]
        return seen

    def causes(self, clock: Mapping[str, int]) -> int:
        """Return the commits that the commits seen at `clock` had seen."""
        seen = 0
        for replica, counter in clock.items():
            seen |= self._line(replica, counter).pasts[counter]
        return seen

    def shown(self, key: bytes, visible: int) -> dict[str, Any]:
        """What must show under `key`, by type, to who has seen the acts `visible`."""
        return self._account.shown(key, visible)

    def lasting(self, commits: int) -> dict[Address, dict[Dot, Any]]:
        """Return the live siblings, and the observed resets beside them, of a replica that has seen `commits`."""
        state = {}
        for address, writes in self._writes.items():
            if address[2] is not None and (siblings := self._siblings(address, writes, commits)):
                state[address] = siblings
        return state

    def _siblings(self, address: Address, writes: list[_Written], commits: int) -> dict[Dot, Any]:
        """Return the visible writes that no visible write to the part, and no clear of its object, has seen."""
        clears = self._writes.get((address[0], address[1], None), ())
        replaced = 0
        for written in (*writes, *clears):
            if written.bit & commits:
                replaced |= written.past
        held = {w.dot: w.payload for w in writes if w.bit & commits & ~replaced}
        denied = any(payload is WINNING_TOMBSTONE for payload in held.values())
        if denied or all(payload is TOMBSTONE or type(payload) is ObservedReset for payload in held.values()):
            return {}
        return {dot: payload for dot, payload in held.items() if payload is not TOMBSTONE}

    def _line(self, replica: str, counter: int) -> _Line:
        line = self._lines[replica]
        require(counter < len(line.deltas), "no commit is claimed that was never made", f"{replica}:{counter}")
        return line
