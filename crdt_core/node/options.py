"""The options of a node."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NodeOptions"]


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What can be set about a node. Durations are in milliseconds.

    `exchange_timeout_ms`: how long a peer may be silent before its exchange fails. Longer: a dead peer holds a round up
    for longer.
    `repair_delay_ms`: how long a delta may wait for what it builds on before the peer is asked for a patch. Longer:
    fewer patches, and a later repair.
    `refused_delay_ms`: how long until a peer is asked again about the same log entry that makes no sense.
    `chunk_bytes`: the largest message of a patch, unless a single part is larger. The rest of the patch follows on
    request. Larger: fewer round trips, longer turns.
    `looks_per_chunk`: how many parts a turn may look at for one message of a patch; one that is listed counts as
    several. More: longer turns.
    `parts_per_slice`: a patch with more parts is joined in slices of so many. More: others wait longer for each slice.
    `parts_per_turn`: a call that may change more parts is run in slices. More: others wait longer for each such call.
    `delta_bytes_per_turn`: a delta of more bytes is applied in slices. More: longer turns.
    `believes_claims`: whether a message that claims commits of this replica which it does not know proves that the
    replica has lost them, and must stop. True only where peers alone can send messages, and nothing else would tell.
    `tombstones_per_compaction`: how many tombstones one compaction looks at. More: longer turns.
    `log_entries_kept`: how many of the node's latest deltas stay in its log for people to look at, though all members
    have them.
    `skew_warn_ms`: a stamp that is further ahead of wall time is reported.
    `skew_refuse_ms`: the hybrid clock does not follow a stamp that is further ahead.
    `strangers_max`: how many replica ids that are no node's callers' patches may bring. Each lengthens every clock.
    `fence_after_ms`: how long a member may be away before the others go on without it. Longer: tombstones wait longer.
    """

    exchange_timeout_ms: int = 5000
    repair_delay_ms: int = 150
    refused_delay_ms: int = 1000
    chunk_bytes: int = 1 << 20
    looks_per_chunk: int = 10_000
    parts_per_slice: int = 500
    parts_per_turn: int = 2000
    delta_bytes_per_turn: int = 256 << 10
    believes_claims: bool = False
    tombstones_per_compaction: int = 10_000
    log_entries_kept: int = 100
    skew_warn_ms: int = 500
    skew_refuse_ms: int = 60_000
    strangers_max: int = 256
    fence_after_ms: int = 7 * 24 * 3_600_000
