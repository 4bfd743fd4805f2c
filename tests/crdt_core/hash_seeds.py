"""What a program prints where Python hashes bytes in one way, and where it does in another."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["printed"]


def printed(program: str) -> set[bytes]:
    """What the Python program prints under two hash seeds: one text, if nothing depends on them."""
    return {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
