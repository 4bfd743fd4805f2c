"""Every number in an argument is read as a real server reads it, however odd its spelling, and refused in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import CommandOptions, ErrorReply
from tests.crdt_core.commands.test_differential import Lone, Real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ValkeyServer

SPELLINGS = {
    **{word: word.encode() for word in ("1_0", " 1", "1 ", "+1", "0x1", "1e3", "-0", "01", "1.0", "--1", "one", "٣")},
    "nothing": b"",
    "5000 digits": b"1" * 5000,
    "a sign and 5000 digits": b"-" + b"1" * 5000,
    "a zero byte": b"1\x00",
    "a bit more than 64 bits": b"9223372036854775808",
    "a bit less than 64 bits": b"-9223372036854775809",
    "64 bits without a sign": b"18446744073709551615",
}

PLACES = """
    INCRBY n ?
    DECRBY n ?
    INCRBYFLOAT n ?
    SET k v EX ?
    SET k v PX ?
    SET k v EXAT ?
    SET k v PXAT ?
    SETEX k ? v
    PSETEX k ? v
    GETEX k EX ?
    GETEX k PX ?
    GETEX k EXAT ?
    GETEX k PXAT ?
    EXPIRE k ?
    PEXPIRE k ?
    EXPIREAT k ?
    PEXPIREAT k ?
    GETRANGE k ? 1
    GETRANGE k 0 ?
    SUBSTR k 0 ?
    SETRANGE k ? v
    SETBIT b ? 1
    SETBIT b 1 ?
    GETBIT b ?
    BITCOUNT b ? 1
    BITCOUNT b 0 ?
    BITPOS b ?
    BITPOS b 1 ?
    BITPOS b 1 0 ?
    BITFIELD b GET u? 0
    BITFIELD b GET u8 ?
    BITFIELD b GET u8 #?
    BITFIELD b SET u8 0 ?
    BITFIELD b INCRBY u8 0 ?
    BITFIELD_RO b GET u8 ?
    HINCRBY h n ?
    HINCRBYFLOAT h n ?
    HRANDFIELD h ?
    HSCAN h 0 COUNT ?
    SPOP s ?
    SRANDMEMBER s ?
    SINTERCARD ? s
    SINTERCARD 1 s LIMIT ?
    SSCAN s 0 COUNT ?
    SCAN 0 COUNT ?
    COPY k c DB ?
"""
"""Every place of a number in a command; `?` stands for the number."""

MAKING = ("SET k value", "SET n 5", "SET b ab", "HSET h n 5 f v", "SADD s a b")


@pytest.fixture(scope="module")
def real(server: ValkeyServer) -> Iterator[Real]:
    connection = Real(server.port)
    yield connection
    connection.close()


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_number_is_read_as_a_real_server_reads_it(spelling: bytes, real: Real) -> None:
    different = []
    for place in PLACES.strip().splitlines():
        words = [word.replace(b"?", spelling) for word in place.strip().encode().split(b" ")]
        real.do([b"FLUSHALL"])
        lone = Lone(CommandOptions())
        for line in MAKING:
            assert lone.do(line.encode().split()) == real.do(line.encode().split())
        mine, theirs = lone.do(words), real.do(words)
        if (isinstance(mine, ErrorReply) or isinstance(theirs, ErrorReply)) and mine != theirs:
            different.append((place.strip(), mine, theirs))
    assert not different
