"""The canonical JSON of clocks, dots, stamps and replica ids.

clock   {"n1":6,"n2":3}      sorted by replica id; counters are at least 1
dot     "n1:7"               replica id and counter, in decimal without leading zeros
stamp   [1763700000000,0]    wall time in ms, logical counter
token   "eyJuMSI6NH0="       a clock in base64, with the letters that URLs take, for clients to pass on
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector, check_replica_id
from crdt_core.lattice.replica_index import REPLICAS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId

__all__ = [
    "clock_value",
    "decode_clock",
    "decode_replica_id",
    "decode_stamp",
    "decode_token",
    "encode_clock",
    "encode_token",
    "parse_dot",
]

_COUNTER_MAX = 10**15
"""Counters in clocks and dots are below this, so that every dot that a clock covers can be written and packed."""


def clock_value(clock: Mapping[ReplicaId, int]) -> dict[str, int]:
    """Return a version vector as a JSON value.

    >>> clock_value({"n2": 3, "n1": 6})
    {'n1': 6, 'n2': 3}
    """
    return dict(sorted(clock.items()))


def encode_clock(clock: Mapping[ReplicaId, int]) -> bytes:
    """Return a version vector as canonical JSON."""
    return orjson.dumps(clock, option=orjson.OPT_SORT_KEYS)


def decode_clock(value: Any) -> VersionVector:
    """Return the version vector in the JSON value `value`. Raises `Malformed`."""
    if not isinstance(value, dict):
        raise Malformed("clock", f"{brief(value)} is not an object")
    if len(value) > REPLICAS_MAX:
        raise Malformed("clock", f"{len(value)} replica ids are more than {REPLICAS_MAX}")
    for replica, counter in value.items():
        decode_replica_id(replica)
        if type(counter) is not int or not 0 < counter < _COUNTER_MAX:
            raise Malformed("clock", f"{replica}: {brief(counter)} is not a counter")
    return VersionVector(value)


def encode_token(clock: Mapping[ReplicaId, int]) -> bytes:
    """Return a version vector as a token.

    >>> encode_token({"n1": 4})
    b'eyJuMSI6NH0='
    """
    return urlsafe_b64encode(encode_clock(clock))


def decode_token(text: str | bytes) -> VersionVector:
    """Return the version vector that a token names. Raises `Malformed`."""
    try:
        value = orjson.loads(urlsafe_b64decode(text))
    except (ValueError, TypeError) as error:
        raise Malformed("token", str(error)) from error
    return decode_clock(value)


def parse_dot(text: Any) -> Dot:
    """Return the dot in its text form, for example `n1:7`. Raises `Malformed`."""
    if isinstance(text, str):
        replica, _, counter = text.rpartition(":")
        if counter.isascii() and counter.isdigit() and counter[0] != "0" and len(counter) < len(str(_COUNTER_MAX)):
            return Dot(decode_replica_id(replica), int(counter))
    raise Malformed("dot", f"{brief(text)} is not replica:counter")


def decode_stamp(value: Any) -> Stamp:
    """Return the stamp in the JSON value `value`. Raises `Malformed`."""
    if not isinstance(value, list) or len(value) != 2 or any(type(n) is not int or not 0 <= n < 2**63 for n in value):
        raise Malformed("stamp", f"{brief(value)} is not [ms, logical]")
    return Stamp(*value)


def decode_replica_id(value: Any) -> ReplicaId:
    """Return the replica id in the JSON value `value`. Raises `Malformed`."""
    try:
        return check_replica_id(value)
    except InvalidArgument as error:
        raise Malformed("replica id", error.reason) from error
