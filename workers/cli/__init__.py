"""The `deltaic` command, which comes with the extra `server` of the package."""

from __future__ import annotations

import atexit
import gc
import sys

__all__ = ["main"]

_OWN = ("crdt_core", "deltaic", "workers")


def main() -> None:
    """Run the command. Where only the client is installed, say in one line what to install (exit code 2).

    Imports make objects that stay. To look through them for garbage, again and again while they are imported and once
    more at the end, takes a quarter of a short command's time. So collecting begins with the command (`LazyGroup`).
    """
    gc.disable()
    atexit.register(gc.freeze)
    try:
        from workers.cli.app import main as run  # noqa: PLC0415  it imports what may not be there

        run()
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in _OWN:
            raise
        sys.exit(_lacks(missing.name))


def _lacks(module: str | None) -> int:
    needs = f"this command needs the server parts of Deltaic ({module} is missing)"
    print(f'deltaic: {needs}: pip install "deltaic[server]"', file=sys.stderr)  # noqa: T201  click may be what is missing
    return 2
