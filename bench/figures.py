"""What is measured: figures with every round's sample, and the targets they are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003  pydantic reads the annotations
from dataclasses import dataclass
from statistics import median

from pydantic import BaseModel, ConfigDict, computed_field

__all__ = ["TARGETS", "Figure", "Target", "reached"]


class Figure(BaseModel):
    """`what` was measured in `unit`, a sample per round: ours, and what there is like it.

    `other`: the same at what it is measured `against`. `base`: the same at the baseline (`bench.baseline`).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    what: str
    unit: str
    ours: Sequence[float]
    other: Sequence[float] = ()
    base: Sequence[float] = ()
    against: str = "raw Valkey"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ours_median(self) -> float:
        return median(self.ours)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def other_median(self) -> float | None:
        return median(self.other) if self.other else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> float | None:
        """Ours to the other, of the medians."""
        return self.ours_median / self.other_median if self.other_median else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def base_median(self) -> float | None:
        return median(self.base) if self.base else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def factor(self) -> float | None:
        """Ours to the baseline's, of the medians."""
        return self.ours_median / self.base_median if self.base_median else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The least and the greatest value of a round; `None` after a single round."""
        rounds = [one / beside for one, beside in zip(self.ours, self.other, strict=True)] if self.other else self.ours
        return (min(rounds), max(rounds)) if len(rounds) > 1 else None

    @property
    def value(self) -> float:
        """What a target is about: the factor, or else the ratio, or where there is neither the figure itself."""
        compared = self.ratio if self.factor is None else self.factor
        return self.ours_median if compared is None else compared


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure's value."""

    bound: float
    at_most: bool = False

    def reached(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


TARGETS: Mapping[str, Target] = {
    "incr-p1": Target(3),
    "incr-p1-p99": Target(0.33, at_most=True),
    "incr-p16": Target(6.5),
    "incr-hot-p16": Target(4),
    "get-p16": Target(3.5),
    "set-p16": Target(5.5),
    "incr-wide-p16": Target(3.5),
    "incr-p16-always": Target(4),
    "incr-p1-peer": Target(3),
    "incr-p16-peer": Target(4.5),
    "sadd-new-p16": Target(3),
    "hset-p16": Target(3),
    "sadd-drop": Target(0.85),
    "latency-idle": Target(5, at_most=True),
    "latency-commit": Target(1.5, at_most=True),
    "memory": Target(121, at_most=True),
    "memory-restarted": Target(140, at_most=True),
    "restart": Target(2, at_most=True),
}
"""By the name of the figure: a bound on its `value`."""


def reached(figure: Figure) -> bool | None:
    """Whether the figure's target is reached; `None` where it has none."""
    target = TARGETS.get(figure.name)
    return None if target is None else target.reached(figure.value)
