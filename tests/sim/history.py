"""What has happened in a run, by the simulator's own account: who did what, having seen what.

Every act of every commit has a bit of its own, and a `past`: the bits of all acts that its doer had seen, earlier acts
of the same commit included. A replica's clock names a set of acts (`visible`), so what it must show is a comprehension
over that set (`tests.sim.specs`), and what it must hold is one over the writes (`siblings`). Commits have bits, too.

A dot is spent when its commit takes effect in the store: from then on others can read it. What is spent keeps its bytes
for ever; a second commit under the same dot is the worst that can happen, and is noticed here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.codec.deltas import decode_delta
from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.lattice.siblings import TOMBSTONE, ObservedReset
from tests.sim.specs import NOTHING, SPECS, stamp_of
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crdt_core.lattice.deltas import Address

__all__ = ["Act", "Deed", "History"]


class Deed(NamedTuple):
    """What one operation did. `type` is empty for a delete, which takes the key whatever it holds."""

    key: bytes
    type: str
    verb: str
    argument: Any = None
    stamp: Stamp | None = None


class Act(NamedTuple):
    """A deed at its place in causality. `stamp` is what the specification makes of the deed's, `None` for no effect."""

    bit: int
    past: int
    dot: Dot
    deed: Deed
    stamp: Stamp | None


class _Written(NamedTuple):
    """One write of a commit; `bit` and `past` are over commits."""

    bit: int
    past: int
    dot: Dot
    payload: Any


@dataclass(slots=True)
class _Line:
    """One replica's commits in order: after each, the bits of all so far, and what the latest had seen."""

    acts: list[int] = field(default_factory=lambda: [0])
    commits: list[int] = field(default_factory=lambda: [0])
    pasts: list[int] = field(default_factory=lambda: [0])
    deltas: list[bytes] = field(default_factory=lambda: [b""])
    stamps: list[Stamp] = field(default_factory=lambda: [Stamp(0, -1)])
    acknowledged: int = 0


class History:
    """All commits of a run."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)
        self._acts: defaultdict[bytes, list[Act]] = defaultdict(list)
        self._masks: defaultdict[bytes, int] = defaultdict(int)
        self._writes: defaultdict[Address, list[_Written]] = defaultdict(list)
        self.unspecified: set[bytes] = set()
        self._shown: dict[tuple[bytes, int], dict[str, Any]] = {}
        self._acts_count = 0
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
        """A commit has taken effect: its delta, the clock it was made on, what its operations did.

        `set_right`: its hybrid clock was, since its last commit. `replays`: it also did again what a former id had
        done; what shows under those keys is not specified then.
        """
        decoded = decode_delta(delta)
        line = self._lines[decoded.dot.replica]
        before = self.delta(*decoded.dot)
        if before is not None:
            require(delta == before, "no dot is spent twice", f"{before!r}, then {delta!r}")
            return decoded.dot
        require(decoded.dot.counter == len(line.deltas), "no dot is left out", str(decoded.dot))
        grew = set_right or decoded.hlc > line.stamps[-1]
        require(grew, "hybrid clocks only grow, unless set right", f"{decoded.dot}: {decoded.hlc}")
        line.acts.append(line.acts[-1] | self._record_acts(decoded.dot, self.visible(seen), deeds))
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
        """A caller was told that commit `counter` of `replica` is safe."""
        line = self._lines[replica]
        line.acknowledged = max(line.acknowledged, counter)

    def resumed(self, replica: str, counter: int) -> None:
        """`replica` goes on from `counter`, as its store has lost what came after, and nobody has heard of it."""
        line = self._lines[replica]
        for values in (line.acts, line.commits, line.pasts, line.deltas, line.stamps):
            del values[counter + 1 :]  # type: ignore[attr-defined]
        line.acknowledged = min(line.acknowledged, counter)

    def _record_acts(self, dot: Dot, past: int, deeds: Sequence[Deed]) -> int:
        made = 0
        for deed in deeds:
            bit = 1 << self._acts_count
            self._acts_count += 1
            seen = [act for act in self._acts[deed.key] if act.bit & (past | made)]
            self._acts[deed.key].append(Act(bit, past | made, dot, deed, stamp_of(deed, seen)))
            self._masks[deed.key] |= bit
            made |= bit
        return made

    # What must hold

    @property
    def keys(self) -> list[bytes]:
        """Every key that something was done to."""
        return [key for key in self._acts if key not in self.unspecified]

    def acknowledged(self, replica: str) -> int:
        """Up to which counter callers were told that commits of `replica` are safe."""
        return self._lines[replica].acknowledged

    def made(self) -> dict[str, int]:
        """How many commits each replica has made."""
        return {replica: len(line.deltas) - 1 for replica, line in sorted(self._lines.items()) if len(line.deltas) > 1}

    def delta(self, replica: str, counter: int) -> bytes | None:
        """The bytes of one commit's delta; `None` if it was never made."""
        deltas = self._lines[replica].deltas
        return deltas[counter] if 0 < counter < len(deltas) else None

    def visible(self, clock: Mapping[str, int]) -> int:
        """The acts that a replica at `clock` has seen."""
        seen = 0
        for replica, counter in clock.items():
            seen |= self._line(replica, counter).acts[counter]
        return seen

    def commits(self, clock: Mapping[str, int]) -> int:
        """The commits that a replica at `clock` has seen."""
        seen = 0
        for replica, counter in clock.items():
            seen |= self._line(replica, counter).commits[counter]
        return seen

    def causes(self, clock: Mapping[str, int]) -> int:
        """The commits that those seen at `clock` had seen."""
        seen = 0
        for replica, counter in clock.items():
            seen |= self._line(replica, counter).pasts[counter]
        return seen

    def shown(self, key: bytes, visible: int) -> dict[str, Any]:
        """What must show under `key`, by type, to who has seen the acts `visible`."""
        mask = visible & self._masks[key]
        found = self._shown.get((key, mask))
        if found is None:
            acts = [act for act in self._acts[key] if act.bit & mask]
            found = self._shown[key, mask] = _specified(acts)
        return found

    def lasting(self, commits: int) -> dict[Address, dict[Dot, Any]]:
        """Every live sibling that one who has seen `commits` must hold, and what diminishes it."""
        state = {}
        for address, writes in self._writes.items():
            if address[2] is not None and (siblings := self._siblings(address, writes, commits)):
                state[address] = siblings
        return state

    def _siblings(self, address: Address, writes: list[_Written], commits: int) -> dict[Dot, Any]:
        """The visible writes that no visible write to the part, and no clear of its object, has seen."""
        clears = self._writes.get((address[0], address[1], None), ())
        replaced = 0
        for written in (*writes, *clears):
            if written.bit & commits:
                replaced |= written.past
        held = {w.dot: w.payload for w in writes if w.bit & commits & ~replaced}
        if all(payload is TOMBSTONE or type(payload) is ObservedReset for payload in held.values()):
            return {}
        return {dot: payload for dot, payload in held.items() if payload is not TOMBSTONE}

    def _line(self, replica: str, counter: int) -> _Line:
        line = self._lines[replica]
        require(counter < len(line.deltas), "no commit is claimed that was never made", f"{replica}:{counter}")
        return line


def _specified(acts: list[Act]) -> dict[str, Any]:
    found = {}
    for name in {act.deed.type: None for act in acts if act.deed.type}:
        value = SPECS[name]([act for act in acts if act.deed.type in {name, ""}])
        if value is not NOTHING:
            found[name] = value
    return found
