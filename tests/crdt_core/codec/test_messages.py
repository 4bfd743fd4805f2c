"""Messages travel as canonical JSON: what is read again is the same, and what is no message says why."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from crdt_core.codec.canonical import pack_part
from crdt_core.codec.messages import (
    Answer,
    Ask,
    Chunk,
    Chunks,
    Done,
    Message,
    More,
    Push,
    Round,
    decode_message,
    encode_message,
)
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart

CLOCK = VersionVector(n1=3, n2=5)
PARTS = (
    PatchPart(b"fruit", "orset", None, {Dot("n1", 3): VersionVector(n1=2)}),
    PatchPart(b"fruit", "orset", b"apple", {Dot("n2", 5): True}),
    PatchPart(b"fruit", "orset", b"pear", {}),
    PatchPart(b"hits", "pncounter", b"n2", {}),
    PatchPart(b"nuts", "orset", None, {}),
)
PATCH = Patch("n2", VersionVector(), CLOCK, VersionVector(), Stamp(7, 1), PARTS)

MESSAGES: list[Message] = [
    Ask("n1", "r", CLOCK),
    Answer("n2", "r", PATCH),
    Answer("n2", "r", PATCH, Chunks("s-1", 3)),
    Push("n2", "r", PATCH),
    Push("n2", "r", PATCH, Chunks("s-1", 3)),
    Done("n1", "r", 4),
    Chunk("n2", "r", "s-1", 0, 5, 9, PARTS),
    Chunk("n2", "r", "s-1", 1, 9, 9, ()),
    More("n1", "r", "s-1", 2, CLOCK),
    Round("r", ("n2", "n3"), "answer"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_read_again_as_it_was_written(message: Message) -> None:
    data = encode_message(message)
    assert decode_message(data) == message
    assert encode_message(decode_message(data)) == data


def test_a_part_that_is_encoded_beforehand_gives_the_same_message() -> None:
    packed = Chunk("n2", "r", "s-1", 0, 5, 9, tuple(map(pack_part, reversed(PARTS))))
    assert encode_message(packed) == encode_message(Chunk("n2", "r", "s-1", 0, 5, 9, PARTS))


CHUNK = orjson.loads(encode_message(Chunk("n2", "r", "s-1", 0, 5, 9, PARTS)))
ANSWER = orjson.loads(encode_message(Answer("n2", "r", PATCH)))
PART = ["fruit", "orset", "apple", {"n2:5": True}]
JUNK: dict[str, tuple[dict[str, Any], str]] = {
    "a number that is none": ({**CHUNK, "number": -1}, "malformed number"),
    "a truth for a number": ({**CHUNK, "of": True}, "malformed of"),
    "no transfer": ({**CHUNK, "transfer": None}, "malformed transfer"),
    "parts that are no list": ({**CHUNK, "parts": {}}, "malformed parts"),
    "a part twice": ({**CHUNK, "parts": [PART, PART]}, "is listed twice"),
    "no siblings, but not said so": ({**CHUNK, "parts": [[*PART[:3], {}]]}, "is no object of dots"),
    "clears of what has none": ({**CHUNK, "parts": [["hits", "pncounter", None, None]]}, "clears"),
    "a field too many": ({**CHUNK, "after": ["s-1", 1]}, "malformed chunk: fields"),
    "after what is no list": ({**ANSWER, "after": None}, "is not [transfer, chunks]"),
    "after three": ({**ANSWER, "after": ["s", 1, 2]}, "is not [transfer, chunks]"),
    "after a half": ({**ANSWER, "after": ["s", 0.5]}, "malformed chunks"),
    "after nothing said": ({**ANSWER, "after": [7, 1]}, "malformed transfer"),
}


@pytest.mark.parametrize("what", JUNK)
def test_what_is_no_message_is_refused_with_its_reason(what: str) -> None:
    value, reason = JUNK[what]
    with pytest.raises(Malformed) as refused:
        decode_message(orjson.dumps(value))
    assert reason in str(refused.value)
