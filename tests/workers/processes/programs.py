"""Processes that a test starts, and what runs below them."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from tests.support import wait_until

__all__ = ["Started", "children", "descendants", "is_alive", "pid_of"]


class Started:
    """A process started by a test, and what it has written so far; killed with its group at the end of the test."""

    def __init__(self, path: Path, arguments: list[str | Path], **options) -> None:
        self.path = path
        with path.open("ab") as output:
            self.process = subprocess.Popen(
                arguments, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
            )

    @property
    def text(self) -> str:
        return self.path.read_text(errors="replace")

    def shows(self, *parts: str, timeout: float = 20) -> None:
        wait_until(lambda: all(part in self.text for part in parts), timeout, f"{parts} in:\n{self.text}")

    def ends(self, timeout: float = 20) -> int:
        return self.process.wait(timeout)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(stat.parent.name))
    return found


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all that runs below `pid`."""
    found = {}
    for child in children(pid):
        with contextlib.suppress(OSError):
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        found |= descendants(child)
    return found


def pid_of(ancestor: int, *words: str) -> int:
    """The only process below `ancestor` that has all `words` in its command line and is no keeper."""
    found = [
        pid
        for pid, line in descendants(ancestor).items()
        if all(word in line for word in words) and " keep " not in line
    ]
    assert len(found) == 1, f"{words}: {found}"
    return found[0]
