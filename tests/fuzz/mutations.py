"""Valid encodings spoilt: tokens swapped for hostile ones, spans dropped, doubled or moved, bytes flipped, ends cut.

Edits are made to the text, so that they can also say what no serializer would: keys that stand twice, numbers without
an end, halves of surrogate pairs, brackets ten thousand deep.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson
from hypothesis import strategies as st

from crdt_core.types import TYPES
from tests.crdt_core.types.models import MODELS

__all__ = ["HOSTILE", "HOSTILE_TOML", "mutated"]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[A-Za-z0-9_.+-]+|\s+|.', re.DOTALL)

HOSTILE: tuple[bytes, ...] = (
    *(b"null", b"true", b"false", b"{}", b"[]", b"[[]]", b'""', b"0", b"1", b"-1", b"7", b"1.5", b"1e5", b"-0"),
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"9" * 400,
        b"9" * 5000,
        b"-" + b"9" * 5000,
        b'"' + b"9" * 5000 + b'"',
    ),
    *(str(number).encode() for power in (31, 32, 50, 53, 63, 64) for number in (2**power - 1, 2**power, -(2**power))),
    *(b"999999999999999", b"1000000000000000", b'"9223372036854775808"', b'"-1"', b'"0"', b'"1e3"'),
    *(b'"n1"', b'"n2"', b'"n9"', b'"observer"', b'"n1.2"', b'"."', b'"-"', b'"n 1"', b'"N' + b"x" * 127 + b'"'),
    *(b'"n' + b"x" * 128 + b'"', b'"n1:1"', b'"n1:3"', b'"n1:0"', b'"n1:01"', b'"n1"'),
    *(b'"n1:999999999999999"', b'"n1:1000000000000000"', b'"n1:' + b"9" * 5000 + b'"', b'":1"', b'"n1:1:1"'),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\uffff"', b'"\xc3\xa9"', b'"\xff"', b'"\xed\xa0\x80"'),
    *(b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 5000, b'{"a":' * 1000 + b"1" + b"}" * 1000),
    *(b'{"b64":"/w=="}', b'{"b64":"!"}', b'{"b64":"/w="}', b'{"b64":""}', b'{"b64":"' + b"QUFB" * 20_000 + b'"}'),
    *(b'{"spent":[1,0]}', b'{"spent":[5,0]}', b'{"spent":[]}', b'{"n1:1":true}', b'{"n1":1}', b'{"n1":0}', b'{"":1}'),
    *(b'["ada",7,0]', b'["ada",9223372036854775807,9223372036854775807]', b"[5,3,2,0]", b"[0,0,1,0]", b"[1,0]"),
    *(orjson.dumps(name) for name in (*TYPES, "set")),
    *(orjson.dumps(example.json) for model in MODELS.values() for example in model.examples),
    *(
        b'"v"',
        b'"clock"',
        b'"since"',
        b'"ask"',
        b'"push"',
        b'"compact"',
        b'"round"',
        b'"__class__"',
        b"\x00",
        b"\xef\xbb\xbf",
    ),
)

HOSTILE_TOML: tuple[bytes, ...] = (
    *HOSTILE[:40],
    *(b"nan", b"-inf", b"1979-05-27T07:32:00Z", b"0x" + b"f" * 5000, b"0o7", b"1_000", b"'literal'", b'"""', b"'''"),
    *(b"[" * 5000, b"{a=" * 2000, b"a." * 3000 + b"b=1", b"_env_file='x'\n", b"_cli_parse_args=true\n", b"self=1\n"),
    *(b"__pydantic_self__=1\n", b'"\\U0010ffff"', b'"\\ud800"', b"\r", b"[nodes]\n", b"[[nodes]]\n", b"[nodes.n1]\n"),
    *(
        b"[security]\n",
        b"password='x'\n",
        b"'redis://:s@h:x'",
        b"'rediss://h?ssl_cert_reqs=maybe'",
        b"'unix://'",
        b"'//'",
    ),
    *(b"'[::1]:1'", b"'h:0'", b"'h:70000'", b"'http://[x'", b"'redis://[x'", b"'redis://h?db=x'", b"'redis://h/\x00'"),
)


class _Edit(NamedTuple):
    """One edit of a list of tokens: what, where (as a share of the length), how many tokens, and with what."""

    action: str
    at: float
    length: int
    token: bytes


def mutated(seeds: list[bytes], hostile: tuple[bytes, ...] = HOSTILE) -> st.SearchStrategy[bytes]:
    """One of `seeds` after some edits; now and then bytes that have nothing to do with any."""
    shares = st.floats(0, 1, exclude_max=True)
    rough = st.sampled_from(["replace", "insert", "drop", "double", "move", "flip", "cut"])
    likely = st.sampled_from(["borrow", "borrow", "borrow", "replace"])
    token = st.sampled_from(hostile)

    def spoilt(actions: st.SearchStrategy[str], most: int) -> st.SearchStrategy[bytes]:
        edit = st.builds(_Edit, actions, shares, st.integers(1, 100), token)
        return st.builds(_edited, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=most))

    return st.one_of(
        *(spoilt(likely, 2), spoilt(likely, 2), spoilt(likely, 6), spoilt(rough, 1), spoilt(rough, 4)),
        *(st.binary(max_size=64), token),
    )


def _edited(seed: bytes, edits: list[_Edit]) -> bytes:
    tokens = _TOKEN.findall(seed)
    for edit in edits:
        at = int(edit.at * len(tokens))
        few = edit.length % 12 + 1
        span = tokens[at : at + few]
        match edit.action:
            case "borrow":
                alike = [token for token in tokens if _shape(token) == _shape(tokens[at])]
                tokens[at] = alike[edit.length % len(alike)]
            case "replace":
                tokens[at : at + 1] = [edit.token]
            case "insert":
                tokens[at:at] = [edit.token]
            case "drop":
                del tokens[at : at + few]
            case "double":
                tokens[at:at] = span
            case "move":
                del tokens[at : at + few]
                tokens = span + tokens
            case "flip" if span and span[0]:
                first = span[0]
                tokens[at] = bytes([first[0] ^ (1 << edit.length % 8)]) + first[1:]
            case "cut":
                tokens = tokens[:at]
        if not tokens:
            break
    return b"".join(tokens)


def _shape(token: bytes) -> str:
    """What could stand where `token` stands without being noticed at once."""
    if token[:1] == b'"':
        return "dot" if b":" in token else "text"
    return "number" if token.lstrip(b"-").isdigit() else "word" if token.isalpha() else token.decode("latin-1")
