"""What must hold of a run: its operations and its final reads against what was acknowledged and what was attempted.

Nothing here knows the implementation. An operation that was not acknowledged is in doubt: it may have taken effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "Operation",
    "availability_problems",
    "counter_problems",
    "set_problems",
    "shape_problem",
    "stable_latencies_ms",
]

Fields = dict[str, type]

SHAPES: dict[str, dict[str, Fields]] = {
    "echo": {"echo": {"echo": object}},
    "broadcast": {"broadcast": {}, "read": {"messages": list}, "topology": {}},
    "g-set": {"add": {}, "read": {"value": list}},
    "g-counter": {"add": {}, "read": {"value": int}},
    "pn-counter": {"add": {}, "read": {"value": int}},
}
ALWAYS: Fields = {"type": str, "in_reply_to": int, "msg_id": int}


@dataclass(slots=True)
class Operation:
    """A write of `value` (of a set's element, or a counter's delta) or a read (`value` `None`).

    Times are seconds of one clock. `ended` is `None`, and `error` says why, where there was no reply, or one that
    refused; `excused`: its node was killed meanwhile. `result` is what a read showed.
    """

    node: str
    value: int | None
    began: float
    ended: float | None = None
    error: str = ""
    excused: bool = False
    result: Any = None

    @property
    def acknowledged(self) -> bool:
        """Whether it was answered with ok."""
        return self.ended is not None


def shape_problem(workload: str, asked: str, body: Mapping[str, Any]) -> str:
    """What is wrong with the form of the reply `body` to a request of type `asked`; empty where nothing is."""
    if body.get("type") == "error":
        fields: Fields = {"code": int, "text": str}
    elif asked == "init":
        fields = {}
    else:
        fields = SHAPES[workload][asked]
    expected = {**ALWAYS, **fields}
    if body.get("type") not in {f"{asked}_ok", "error"}:
        return f"type is not {asked}_ok"
    if body.keys() != expected.keys():
        return f"keys are not {sorted(expected)}"
    wrong = [name for name, kind in expected.items() if not isinstance(body[name], kind) or body[name] is True]
    return f"wrong type: {wrong}" if wrong else ""


def set_problems(history: Sequence[Operation], finals: Mapping[str, Sequence[int]]) -> list[str]:
    """Whatever was acknowledged is in every final read; no read ever showed what nobody had attempted, or it twice."""
    writes = [operation for operation in history if operation.value is not None]
    acknowledged = {write.value for write in writes if write.acknowledged}
    problems = []
    for node, elements in finals.items():
        if lost := acknowledged - set(elements):
            problems.append(f"{node} has lost {len(lost)} acknowledged elements, such as {min(lost)}")
    began = {write.value: write.began for write in writes}
    reads = [
        (operation.node, operation.result, operation.ended) for operation in history if operation.result is not None
    ]
    for node, elements, ended in [*reads, *((node, elements, float("inf")) for node, elements in finals.items())]:
        if made_up := [element for element in elements if element not in began or began[element] > ended]:
            problems.append(f"{node} has made up {made_up[:3]}")
        if len(set(elements)) < len(elements):
            problems.append(f"{node} shows an element twice")
    return problems + _disagreement({node: sorted(elements) for node, elements in finals.items()})


def counter_problems(history: Sequence[Operation], finals: Mapping[str, int]) -> list[str]:
    """All final reads are one value, that of all acknowledged deltas and of some of those in doubt."""
    writes = [operation for operation in history if operation.value is not None]
    sure = sum(write.value or 0 for write in writes if write.acknowledged)
    in_doubt = [write.value or 0 for write in writes if not write.acknowledged]
    least = sure + sum(delta for delta in in_doubt if delta < 0)
    most = sure + sum(delta for delta in in_doubt if delta > 0)
    problems = [
        f"{node} shows {value}, not {least} to {most}" for node, value in finals.items() if not least <= value <= most
    ]
    deltas = [write.value or 0 for write in writes]
    lowest, highest = sum(d for d in deltas if d < 0), sum(d for d in deltas if d > 0)
    shown = [operation.result for operation in history if operation.result is not None]
    problems += [f"a read showed {value}, beyond all attempts" for value in shown if not lowest <= value <= highest]
    return problems + _disagreement(finals)


def availability_problems(history: Iterable[Operation]) -> list[str]:
    """Every request to a live node was answered with ok before its deadline."""
    failed = [operation for operation in history if not operation.acknowledged and not operation.excused]
    return [f"{len(failed)} requests failed, such as one at {failed[0].node}: {failed[0].error}"] if failed else []


def stable_latencies_ms(history: Sequence[Operation]) -> list[float]:
    """For each acknowledged element, how long after its acknowledgement it was still missing somewhere.

    As Maelstrom's checker computes it: until the last read *begun* that did not show it; 0 where no read missed it. So
    it is a lower bound, the closer the more often every node is read.
    """
    reads = [(read.began, frozenset(read.result)) for read in history if read.result is not None]
    reads.sort(key=lambda read: read[0], reverse=True)
    latencies = []
    for write in history:
        if write.value is not None and write.ended is not None:
            missed = next((began for began, shown in reads if write.value not in shown), write.ended)
            latencies.append(max(0.0, missed - write.ended) * 1000)
    return sorted(latencies)


def _disagreement(finals: Mapping[str, Any]) -> list[str]:
    first = next(iter(finals.values()), None)
    differing = [node for node, value in finals.items() if value != first]
    return [f"{', '.join(differing)} disagree with {next(iter(finals))}"] if differing else []
