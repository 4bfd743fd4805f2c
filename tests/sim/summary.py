"""A summary of runs for people: operations, commits, faults by kind, syncs by level, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["summary"]

_GROUPS = {
    "operation: ": "operations",
    "fault: ": "faults",
    "network: ": "messages",
    "sync: ": "syncs",
    "jobs: ": "jobs",
}


def summary(counts: Mapping[str, int], seeds: int, steps: int, took_s: float) -> str:
    """Some lines; within a group, the most frequent first."""
    lines = [f"{seeds} seeds, {steps:,} steps, {took_s:.1f} s ({1000 * took_s / max(1, seeds):.0f} ms per seed)"]
    grouped = set()
    for prefix, title in _GROUPS.items():
        group = {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
        grouped |= {name for name in counts if name.startswith(prefix)}
        lines.append(_line(f"{title} {sum(group.values()):,}", group))
    lines.append(_line("besides", {name: count for name, count in counts.items() if name not in grouped}))
    return "\n".join(lines)


def _line(title: str, counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in ordered if count)
