"""The notes below the tables of `deltaic status`: problems, members that come and go, clocks, tombstones, audits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from crdt_core.types.members import Standing
from workers.cli.join_progress import join_progress
from workers.cli.namesakes import namesake_notes
from workers.cli.words import age, printable, size
from workers.config.loading import START_FLEET

if TYPE_CHECKING:
    from workers.config.settings import ClockSettings
    from workers.fleet.fleet_status import Away, FleetStatus

__all__ = ["status_notes"]


def status_notes(fleet: FleetStatus, clocks: ClockSettings) -> list[Text]:
    """Return the notes, a line each; none where there is nothing to say."""
    notes = []
    if fleet.paused or any(lag.deltas for node in fleet.nodes.values() for lag in node.lag.values()):
        legend = "7 -3 1.2s: has seen 7, lacks 3, the oldest of them 1.2 s old; cut: link paused"
        notes.append(Text(legend, style="dim"))
    if fleet.taking_part and not any(node.up for node in fleet.taking_part):
        notes.append(Text(START_FLEET, style="bold"))
    for problem in dict.fromkeys(node.problem for node in fleet.nodes.values() if node.problem is not None):
        names = " ".join(node.name for node in fleet.nodes.values() if node.problem == problem)
        notes.append(Text(f"Redis of {names}: {printable(problem)}", style="red"))
    notes += _storage_notes(fleet)
    for node in fleet.nodes.values():
        if node.trouble is not None and node.problem is None:
            notes.append(Text(f"{node.name} cannot write: {printable(node.trouble)}", style="red"))
        if node.quarantine:
            where = f"XRANGE deltaic:{{{node.name}}}:quarantine - +"
            notes.append(Text(f"{node.name}: {node.quarantine} messages in quarantine: {where}", style="yellow"))
    notes += _membership_notes(fleet)
    notes += _clock_notes(fleet, clocks)
    notes += _tombstone_note(fleet)
    notes += _audit_notes(fleet)
    return notes


def _storage_notes(fleet: FleetStatus) -> list[Text]:
    """Return notes about the nodes whose Redis may delete parts of their state, or has lost some."""
    notes = []
    for node in fleet.nodes.values():
        if node.evicts:
            remedy = "redis-cli CONFIG SET maxmemory-policy noeviction"
            text = f"the Redis of {node.name} may delete keys (maxmemory-policy {printable(node.evicts)}): {remedy}"
            notes.append(Text(text, style="bold red"))
        if node.persisted_again:
            text = f"{node.name}: its Redis had lost or changed {node.persisted_again} records; they were written again"
            notes.append(Text(text, style="red"))
    return notes


def _membership_notes(fleet: FleetStatus) -> list[Text]:
    """Return notes about the members that join, are away, or leave."""
    before_serving = {"waits", "joins"}
    joining = [
        node for node in fleet.taking_part if node.up and not node.serving and node.heartbeat.keys() & before_serving
    ]
    notes = [Text(f"{node.name} {join_progress(node.heartbeat).words}", style="yellow") for node in joining]
    notes += [_away_note(name, away) for name, away in fleet.away.items()]
    notes += [Text(note, style="yellow") for note in namesake_notes(fleet.members, fleet.nodes)]
    for replica, fact in fleet.leaving.items():
        since = age(max(0, fleet.at_ms - fact.at_ms))
        left = f"{replica} has left ({fact.reason}, {since} ago)"
        missing = [] if fact.standing > Standing.LEAVING else _still_to_close(fleet, replica)
        then = f"when {' '.join(missing)} have heard of it" if missing else "after the next compactions"
        notes.append(Text(f"{left}; its id leaves the clocks {then}", style="dim"))
    return notes


def _away_note(name: str, away: Away) -> Text:
    held = f"; {away.tombstones} tombstones wait for it, about {size(away.bytes)}" if away.tombstones else ""
    if away.fence_in_ms is None:
        then = "too few members are present to fence it"
    elif away.fence_in_ms:
        then = f"the others fence it in {age(away.fence_in_ms)}"
    else:
        then = "the others fence it at the next compaction"
    return Text(f"{name} has been away for {age(away.ms)}{held}; {then}", style="yellow")


def _still_to_close(fleet: FleetStatus, replica: str) -> list[str]:
    """Return the members that have not yet heard that `replica` leaves."""
    closers = fleet.members.closings.get(replica, ())
    return [node for node, id_ in fleet.members.active.items() if id_ not in closers]


def _clock_notes(fleet: FleetStatus, clocks: ClockSettings) -> list[Text]:
    """Return notes about the nodes whose clock is off by more than `skew_warn_ms`, and what that means."""
    notes = []
    for node in fleet.nodes.values():
        skew_ms = node.clock_skew_ms or 0
        if abs(skew_ms) <= clocks.skew_warn_ms:
            continue
        where = "ahead of" if skew_ms > 0 else "behind"
        text = f"the clock of {node.name} is {age(abs(skew_ms))} {where} the others"
        if abs(skew_ms) > clocks.skew_refuse_ms:
            refusing = "the others do not follow its stamps" if skew_ms > 0 else "it follows nobody's stamps"
            text += f": {refusing} (setting clock.skew_refuse_ms)"
        notes.append(Text(text, style="bold yellow"))
    return notes


def _tombstone_note(fleet: FleetStatus) -> list[Text]:
    """Return a note about the tombstones that wait, and for what; none if the note of an absent member counts them."""
    waiting = max((node.tombstones or 0 for node in fleet.nodes.values()), default=0)
    if not waiting or any(away.tombstones for away in fleet.away.values()):
        return []
    away = [node.name for node in fleet.taking_part if not node.up or node.problem is not None]
    reason = f"{' '.join(away)} to come back" if away else "paused links" if fleet.paused else "the next compaction"
    return [Text(f"tombstones that wait for {reason}: {waiting}", style="dim")]


def _audit_notes(fleet: FleetStatus) -> list[Text]:
    reports = {name: node.audit for name, node in fleet.nodes.items() if node.audit is not None}
    if not reports:
        return []
    alarms = {name: report["mismatch"] for name, report in reports.items() if report.get("mismatch")}
    if alarms:
        found = "; ".join(f"{name} and {', '.join(peers)}" for name, peers in alarms.items())
        return [Text(f"last audit: equal clocks, different digests: {found}", style="bold red")]
    latest_ms = max(report.get("at_ms", 0) for report in reports.values())
    compared = sum(len(report.get("agree", [])) for report in reports.values())
    return [
        Text(f"last audit {age(max(0, fleet.at_ms - latest_ms))} ago: {compared} comparisons, all agree", style="dim")
    ]
