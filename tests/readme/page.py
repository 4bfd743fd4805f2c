"""The README as its reader meets it: its blocks in order, and what may differ between two runs of one command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["README", "Block", "Step", "blocks", "masked"]

README = Path(__file__).parents[2] / "README.md"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MASKS = (
    (r"\x1b\[[0-9;?]*[A-Za-z]|\r", ""),
    (r"[╭╮╰╯│─━╸]+", " "),
    (r"\b\d+(\.\d+)?(ms|s|min|h|d)\b", "AGE"),
    (r"\b([0-9a-f]{16}|[0-9a-f]{8})\b", "DIGEST"),
    (r"\[\d{13},\d+\]", "HLC"),
    (r"ago: (nobody|n\d( n\d)*)(, \d+ new)?", "ago: PEERS"),
    (r"\d+ comparisons", "N comparisons"),
    (r"\bn6-[0-9a-f]{6}\b", "n6-NONCE"),
)
_BRACES = re.compile(r"\{([a-z]+(?:, [a-z]+)+)\}")
_UNORDERED = ("SMEMBERS", "HGETALL")
_PROGRESS = re.compile(r"n6(:| +joins)")


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a console block, and the lines that it shows there."""

    command: str
    shown: list[str]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the page: its language, empty if none is named, and its text."""

    language: str
    text: str

    @property
    def steps(self) -> list[Step]:
        """The commands of a console block; none if it is no such block."""
        found: list[Step] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), []))
            elif found:
                found[-1].shown.append(line)
        return found if self.text.startswith("$ ") else []


def blocks() -> list[Block]:
    """All blocks of the README, in order."""
    return [Block(*found.groups()) for found in _BLOCK.finditer(README.read_text("utf-8"))]


def masked(command: str, lines: list[str]) -> list[str]:
    """What `command` has shown, without what varies: ages, digests, stamps, spaces, and the order of members."""
    found = []
    for line in lines:
        text = line
        for pattern, mask in _MASKS:
            text = re.sub(pattern, mask, text)
        text = _BRACES.sub(lambda match: "{" + ", ".join(sorted(match[1].split(", "))) + "}", text)
        words = " ".join(text.split())
        if words and not _PROGRESS.match(words):
            found.append(words)
    if any(name in command for name in _UNORDERED):
        return sorted(re.sub(r"^\d+\) ", "", line) for line in found)
    return found
