"""DELTAIC.INSPECT: one key as a replica sees it, as JSON: its type, value and siblings, and the types that are hidden.

It shows what a caller can see: nothing of an expired key, and no removals of other types. DELTAIC.EXPLAIN and
DELTAIC.SIBLINGS show every write of a key, whether it shows or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from crdt_core.codec.records import encode_part
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import Map
from crdt_core.types import encode_text

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]


def _inspect(session: Session, args: list[bytes]) -> Reply:
    found = session.find(args[0])
    head = session.state.head(args[0])
    if found is None or head is None:
        return None
    index = session.state.replica_index
    siblings = orjson.dumps(
        {
            str(encode_text(part)): orjson.Fragment(encode_part(found.type, held, index))
            for part, held in sorted(found.parts.items())
        }
    )
    value = orjson.dumps(found.type.value_json(session.view(found)))
    session.must_fit_reply_of(len(siblings) + len(value))
    return Map(
        [
            (b"type", found.type.encoded_name),
            (b"value", value),
            (b"siblings", siblings),
            (b"conflicts", [other.type.encoded_name for other in head.showing()[1:]]),
        ]
    )


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.INSPECT key",
        2,
        KEY,
        "readonly",
        _inspect,
        "Returns the type, value, siblings and type conflicts of a key, as JSON.",
        "",
        "O(n) where n is the size of the value",
        since="0.2.0",
        heavy=True,
    ),
)
