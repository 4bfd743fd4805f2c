"""What can be set about a node."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NodeOptions"]


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`repair_delay_ms`: how long a delta may wait for what it builds on before the peer is asked for it.

    `refused_delay_ms`: how long until a peer is asked again about the same entry that makes no sense.
    `chunk_bytes`: how large a message of a patch may be, unless a single part is larger; what does not fit follows on
    request. `looks_per_chunk`: at how many parts a turn may look for one.
    `believes_claims`: whether a message that claims commits of this replica that it does not know is proof that it has
    lost them, and must stop. That is so where nobody else can send one, and nothing else would tell.
    `log_entries_kept`: how many of the node's latest deltas stay in its log though everyone has them, to be looked at.
    `skew_warn_ms`, `skew_refuse_ms`: how far a stamp may be ahead before that is said, and before it is not taken over.
    `strangers_max`: how many replica ids of no node callers' patches may bring.
    `fence_after_ms`: how long a member may be away before the others go on without it.
    """

    exchange_timeout_ms: int = 5000
    repair_delay_ms: int = 150
    refused_delay_ms: int = 1000
    chunk_bytes: int = 1 << 20
    looks_per_chunk: int = 20_000
    believes_claims: bool = False
    tombstones_per_compaction: int = 10_000
    log_entries_kept: int = 100
    skew_warn_ms: int = 500
    skew_refuse_ms: int = 60_000
    strangers_max: int = 256
    fence_after_ms: int = 7 * 24 * 3_600_000
