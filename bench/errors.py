"""Why a measurement cannot be made or believed; a part of the tree in `crdt_core.errors`."""

from __future__ import annotations

from crdt_core.errors import CallerError, WorldError

__all__ = ["BaselineMissing", "MeasurementFailed", "ProcessFailed", "ResultsUnreadable", "ToolMissing"]


class ToolMissing(WorldError):
    """None of `names` is on the PATH; `remedy` says how to come by one."""

    def __init__(self, names: tuple[str, ...], remedy: str) -> None:
        super().__init__(f"there is no {' or '.join(names)} on the PATH: {remedy}")
        self.names = names


class BaselineMissing(WorldError):
    """This repository does not have the commit of the baseline."""

    def __init__(self, version: str, commit: str) -> None:
        super().__init__(
            f"Deltaic {version} is commit {commit}, which git does not find here: "
            "measure in a clone of the whole history (git fetch --unshallow)"
        )
        self.commit = commit


class ProcessFailed(WorldError):
    """`process` ended or did not get ready; `last_words` is the end of its output."""

    def __init__(self, process: str, what: str, last_words: str) -> None:
        super().__init__(f"{process} {what}; its last words:\n{last_words or '(none)'}")
        self.process = process


class MeasurementFailed(WorldError):
    """What was measured is not what was meant: a reply was wrong, a value missing, a figure unreadable."""


class ResultsUnreadable(CallerError):
    """The results, or the page they go to, at `where` are none, for `reason`; nothing was written there."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where} cannot be used: {reason}")
        self.where = where
