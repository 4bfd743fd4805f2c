"""The data that a fleet of 0.1.0 has left: see `tests.fixtures.make_0_1_0`."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fleet import Fleet
from tests.upgrade.answers import about_itself, about_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DATA", "FIXTURE", "NODES", "SETTINGS", "answers_of", "copied", "decoded", "recorded"]

FIXTURE = Path(__file__).parents[1] / "fixtures" / "0.1.0"
DATA = FIXTURE / "valkey" / "appendonlydir"
NODES = ("n1", "n2", "n3")
SETTINGS = """\
[policies."ban:"]
sets = "remove-wins"
[policies."note:"]
strings = "multi-value"
"""


def recorded() -> dict[str, Any]:
    """Return what 0.1.0 answered: per node before it stopped, and under `healed` what all agreed on in the end."""
    answers: dict[str, Any] = json.loads((FIXTURE / "answers.json").read_text("utf-8"))
    return answers


def copied(directory: Path, data: Path = DATA, deltaic: Path | None = None) -> Fleet:
    """Return a fleet, not yet started, on a copy of `data`; its workers run `deltaic`, or the code under test.

    The ports are those of this run: where a fleet file names a node, its addresses count, not those in the data.
    """
    fleet = Fleet(directory, nodes=len(NODES), settings=SETTINGS)
    shutil.copytree(data, fleet.valkey.directory / data.name)
    if deltaic is not None:
        for node in fleet.nodes.values():
            node.program = [deltaic]
    return fleet


def answers_of(fleet: Fleet, name: str, keys: Iterable[bytes]) -> dict[str, Any]:
    """Return what one node answers about itself and about `keys`, and how many messages it has set aside."""
    keys, node = list(keys), fleet[name]
    quarantined = len(fleet.quarantined(name))
    return about_itself(node, keys) | {"quarantined": quarantined, "keys": about_keys(node.resp_port, keys)}


def decoded(text: str | dict[str, str]) -> bytes:
    """Return the bytes of text that `answers.encoded` has made."""
    return text.encode() if isinstance(text, str) else b64decode(text["base64"])
