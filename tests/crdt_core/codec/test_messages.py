"""Messages travel as canonical JSON: they come back as they were, and anything else is refused with the reason."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from crdt_core.codec.messages import (
    Admit,
    Answer,
    Ask,
    Chunk,
    Chunks,
    Compact,
    Done,
    Message,
    More,
    Push,
    Round,
    decode_message,
    encode_message,
    job_asking,
    may_be_outdated,
)
from crdt_core.codec.patches import encode_part_once
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
    Admit("n3", "n3.2", "127.0.0.1:7003", "redis://127.0.0.1:7103"),
    Compact({"n1": CLOCK, "n2": VersionVector()}, ("n3",), "answer"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_read_again_as_it_was_written(message: Message) -> None:
    data = encode_message(message)
    assert decode_message(data) == message
    assert encode_message(decode_message(data)) == data


@pytest.mark.parametrize("message", MESSAGES)
def test_patches_their_pieces_and_reports_of_clocks_may_be_outdated(message: Message) -> None:
    assert may_be_outdated(encode_message(message)) == isinstance(message, Answer | Push | Chunk | Compact)


def test_a_large_patch_is_seen_to_be_one_without_reading_it() -> None:
    """A starting worker parsed each patch in its inbox twice. The ends of these are missing: they cannot be parsed."""
    for message in (Answer("n2", "r", PATCH), Push("n2", "r", PATCH), Chunk("n2", "r", "s-1", 0, 5, 9, PARTS)):
        beginning = encode_message(message)[:60]
        assert may_be_outdated(beginning)
        assert job_asking(beginning) == ""


@pytest.mark.parametrize("junk", [b"", b"push", b"[]", b'"push"', b'{"kind":["push"]}', b"[" * 100_000])
def test_junk_is_not_outdated(junk: bytes) -> None:
    assert not may_be_outdated(junk)


def test_a_part_that_is_encoded_beforehand_gives_the_same_message() -> None:
    packed = Chunk("n2", "r", "s-1", 0, 5, 9, tuple(map(encode_part_once, reversed(PARTS))))
    assert encode_message(packed) == encode_message(Chunk("n2", "r", "s-1", 0, 5, 9, PARTS))


CHUNK = orjson.loads(encode_message(Chunk("n2", "r", "s-1", 0, 5, 9, PARTS)))
ANSWER = orjson.loads(encode_message(Answer("n2", "r", PATCH)))
COMPACT = orjson.loads(encode_message(Compact({}, (), "answer")))
PART = ["fruit", "orset", "apple", {"n2:5": True}]
JUNK: dict[str, tuple[dict[str, Any], str]] = {
    "a number that is none": ({**CHUNK, "number": -1}, "malformed number"),
    "a truth for a number": ({**CHUNK, "of": True}, "malformed of"),
    "no transfer": ({**CHUNK, "transfer": None}, "malformed transfer"),
    "parts that are no list": ({**CHUNK, "parts": {}}, "malformed parts"),
    "a part twice": ({**CHUNK, "parts": [PART, PART]}, "it lists one part twice"),
    "no siblings, but not said so": ({**CHUNK, "parts": [[*PART[:3], {}]]}, "is not an object of dots"),
    "clears of what has none": ({**CHUNK, "parts": [["hits", "pncounter", None, None]]}, "clears"),
    "no message": ({"v": 1}, "None is not a kind of message"),
    "a kind to come": ({"v": 1, "kind": "gossip"}, "'gossip' is not a kind of message"),
    "clocks that are no object": ({**COMPACT, "clocks": []}, "malformed clocks"),
    "absent nodes that are no list": ({**COMPACT, "absent": "n3"}, "malformed absent"),
    "a field too many": ({**CHUNK, "after": ["s-1", 1]}, "malformed chunk: fields"),
    "after what is no list": ({**ANSWER, "after": None}, "is not [transfer, chunks]"),
    "after three": ({**ANSWER, "after": ["s", 1, 2]}, "is not [transfer, chunks]"),
    "after a half": ({**ANSWER, "after": ["s", 0.5]}, "malformed chunks"),
    "after nothing said": ({**ANSWER, "after": [7, 1]}, "malformed transfer"),
}


@pytest.mark.parametrize("what", JUNK)
def test_anything_else_is_refused_with_the_reason(what: str) -> None:
    value, reason = JUNK[what]
    with pytest.raises(Malformed) as refused:
        decode_message(orjson.dumps(value))
    assert reason in str(refused.value)
