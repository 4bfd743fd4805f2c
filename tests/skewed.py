"""The `deltaic` command on a machine whose clock is wrong: `python -m tests.skewed FILE ARGUMENT...`.

FILE holds by how many milliseconds; it is read at every look at the clock, so the clock can be set right meanwhile.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from workers.system import clock


def main() -> None:
    offset = Path(sys.argv.pop(1))

    def wall_ms() -> int:
        return time.time_ns() // 1_000_000 + int(offset.read_text("ascii"))

    clock.wall_ms = wall_ms  # before anything else is imported that reads it

    from workers.cli import main as deltaic

    deltaic()


if __name__ == "__main__":
    main()
