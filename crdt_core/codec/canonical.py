"""What all canonical JSON forms have in common: the format version, and strict parsing.

Equal values give equal bytes: dots and clocks are sorted, and every value has exactly one spelling. A reader accepts
exactly what a writer produces. It raises `Malformed`, with the reason, for anything else; it guesses nothing and skips
nothing. Keys, parts and values are JSON strings if they are UTF-8, else `{"b64":"..."}`
(`crdt_core.types.text.encode_text`).

The forms themselves, each documented in its module:

    crdt_core.codec.clocks     clocks, dots, stamps      {"n1":6,"n2":3}   n1:7   [1763700000000,0]
    crdt_core.codec.siblings   siblings of one part      {"n1:4":"alice","n2:9":"bob"}
    crdt_core.codec.deltas     one commit                {"v":1,"dot":"n1:7",..}
    crdt_core.codec.patches    what a clock lacks        {"v":1,"origin":"n2",..}
    crdt_core.codec.messages   messages between nodes    {"v":1,"kind":"ask",..}
    crdt_core.codec.records    the persisted objects     Redis hashes of JSON
    crdt_core.codec.header     the persisted header      a Redis hash of JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from crdt_core.errors import Malformed, brief

__all__ = ["FORMAT", "parse_json", "parse_list", "parse_object", "parse_row"]

FORMAT = 1
"""The version of every canonical form. A reader refuses all other versions."""


def parse_json(what: str, data: bytes) -> Any:
    """Return the JSON value in `data`. Raises `Malformed` if `data` is not JSON; `what` names it in the error."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(what, f"not JSON ({error})") from error


def parse_object(what: str, data: bytes | Mapping[str, Any], fields: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the JSON object in `data`, which has this format version and exactly the fields `fields`.

    `data` is JSON or an already parsed object. `what` names it in the error. Raises `Malformed`.
    """
    if isinstance(data, bytes):
        data = parse_json(what, data)
    if not isinstance(data, Mapping):
        raise Malformed(what, f"{brief(data)} is not an object")
    if type(data.get("v")) is not int or data["v"] != FORMAT:
        raise Malformed(what, f"format version {brief(data.get('v'))} is not {FORMAT}")
    if data.keys() != set(fields):
        raise Malformed(what, f"fields {brief(list(data))} are not {sorted(fields)}")
    return data


def parse_list(what: str, value: Any) -> list[Any]:
    """Return `value`, which is a list. Raises `Malformed`."""
    if not isinstance(value, list):
        raise Malformed(what, f"{brief(value)} is not a list")
    return value


def parse_row(what: str, value: Any) -> tuple[Any, Any, Any, Any]:
    """Return the four elements of the list `value`. Raises `Malformed`."""
    if not isinstance(value, list) or len(value) != 4:
        raise Malformed(what, f"{brief(value)} does not have four elements")
    return value[0], value[1], value[2], value[3]
