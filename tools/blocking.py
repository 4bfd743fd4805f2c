"""Makes the blocking client from the asyncio one, by replacing words. `make blocking` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["MADE", "blocking", "main"]

PACKAGE = Path(__file__).parents[1] / "deltaic"

MADE = {"client.py": "async_client.py", "objects.py": "async_objects.py"}
"""Each file that is made, and what it is made from."""

_WORDS = (
    (r"\bimport asyncio\n", ""),
    (r"\b(async|await) ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basync_(?=objects)", ""),
    (r"__a(?=enter__|exit__)", "__"),
    (r"\bredis\.asyncio\b", "redis"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bnowait=True\b", ""),
    (r"\bTasks of one event loop\b", "Threads"),
    (r"\b([Tt]he|an) asyncio\b", lambda found: f"{found[1].removesuffix('n')} blocking"),
)


def blocking(source: str) -> str:
    """Return the text of the blocking module that is made from `source`, a file of `deltaic`."""
    text = (PACKAGE / source).read_text()
    for words, instead in _WORDS:
        text = re.sub(words, instead, text)
    text = f"# Made from {source}: change that file, and run `make blocking`.\n{text}"
    return _ruff(_ruff(text, "check", "--fix", "--quiet", "--select", "I,RUF022"), "format", "--quiet")


def _ruff(text: str, *command: str) -> str:
    """Return `text` as ruff sorts or formats it."""
    line = [sys.executable, "-m", "ruff", *command, "--stdin-filename", __file__, "-"]
    return subprocess.run(line, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603  our own


def main() -> None:
    """Write the files."""
    for name, source in MADE.items():
        (PACKAGE / name).write_text(blocking(source))


if __name__ == "__main__":
    main()
