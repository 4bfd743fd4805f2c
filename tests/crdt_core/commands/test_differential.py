"""A lone replica answers as a real server does: long random command sequences, reply for reply.

Every supported command, with right and wrong arguments, wrong types, binary data, huge and negative numbers, and
options in all combinations. What is said in no order (sets, KEYS, fields) is compared as a set; what is chosen at
random must be a possible choice. What is known to differ is `DIFFERENCES`, each with its reason, and each is shown to
differ.

`DELTAIC_DIFFERENTIAL=1000:500` runs 500 sequences from seed 1000 on. A failure prints its seed, and the shortest part
of the sequence that was found to fail still.
"""

from __future__ import annotations

import os
import random
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import hiredis
import pytest

from crdt_core.commands import (
    COMMANDS,
    CommandError,
    CommandOptions,
    ErrorReply,
    Execute,
    Map,
    Pairs,
    Policies,
    Session,
    SetOf,
    Status,
    read,
)
from crdt_core.lattice.clocks import HybridClock
from crdt_core.replica.committed_view import CommittedView
from crdt_core.replica.replica import Replica
from crdt_core.types import MVREGISTER, RWSET, View
from tests.invocations import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crdt_core.commands import Keyspace, Reply
    from tests.server import ValkeyServer

FIRST_SEED, SEQUENCES = map(int, os.environ.get("DELTAIC_DIFFERENTIAL", "1:80").split(":"))
LENGTH = 300
SHRINK_S = 20

Words = list[bytes]


class Difference(NamedTuple):
    """A command that is answered otherwise than by a real server, on an empty replica, and why."""

    words: Words
    reason: str


DIFFERENCES = (
    Difference([b"ZADD", b"k", b"1", b"a"], "sorted sets and lists are to come; what is missing says so by name"),
    Difference([b"SET", b"deltaic:k", b"v"], "keys of Deltaic's own are out of reach"),
    Difference([b"SRANDMEMBER", b"s", b"-1048577"], "a reply must fit the memory of a replica that serves others, too"),
    Difference([b"HRANDFIELD", b"h", b"-1048577"], "a reply must fit the memory of a replica that serves others, too"),
    Difference([b"COPY", b"h", b"k", b"DB", b"1"], "there is one database"),
    Difference([b"STRLEN", b"p"], "a HyperLogLog is no string here, though TYPE says so"),
    Difference([b"SCAN", b" 7"], "a cursor is what a scan gave, to the letter"),
    Difference([b"SCAN", b"0", b"COUNT", b"1"], "cursors are places in another order"),
)


# The two that are compared.


class Lone:
    """A replica without peers."""

    def __init__(self, options: CommandOptions) -> None:
        self.replica = Replica("n1")
        self.options = options
        self.confirmed = CommittedView(self.replica.catalogue)
        self.clock = HybridClock()
        self.seed = 0

    def do(self, words: Words) -> Any:
        """The reply, as the server would write it. What only reads is answered from both states alike."""
        wall_ms = time.time_ns() // 1_000_000
        self.seed += 1
        try:
            command = lookup(words[0], words[1:])
        except CommandError as error:
            return plain(ErrorReply(error.text))
        before = self.shown(wall_ms, self.replica)
        execute = Execute([(command, words[1:])], wall_ms, self.seed, self.options)
        [reply] = execute.run(self.replica, self.clock.tick(wall_ms))
        changed = self.replica.commit(self.clock.last) is not None
        self.replica.take_changes()
        assert self.shown(wall_ms, self.confirmed) == before, "what is not confirmed shows"
        self.replica.catalogue.in_flight = {}
        if not command.writes:
            assert not changed, "a read has written"
            again = read(self.confirmed, command, words[1:], wall_ms, self.seed, options=self.options)
            assert again == reply
        if isinstance(reply, ErrorReply):
            assert self.shown(wall_ms, self.replica) == before, "what was refused has changed something"
        return plain(reply)

    def shown(self, wall_ms: int, state: Keyspace) -> dict[bytes, Any]:
        """The values of all keys, and when they expire."""
        session = Session(state, wall_ms, 0)
        return {
            found.key: (found.type.value(View(found.parts, state.replica_index)), session.deadline_ms(found.key))
            for found in session.showing()
        }


def plain(reply: Reply) -> Any:
    """The reply as RESP2 has it."""
    match reply:
        case Status(text):
            return text.encode()
        case Map(items) | Pairs(items):
            return [plain(item) for pair in items for item in pair]
        case SetOf(items):
            return [plain(item) for item in items]
        case ErrorReply(text):
            return ErrorReply(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        case list():
            return [plain(item) for item in reply]
    assert reply is None or isinstance(reply, int | bytes)
    return reply


class Real:
    """A connection to a real server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._reader = hiredis.Reader()

    def do(self, words: Words) -> Any:
        """The reply."""
        self._socket.sendall(hiredis.pack_command(tuple(words)))
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 20))
        return ErrorReply(str(reply)) if isinstance(reply, hiredis.ReplyError) else reply

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def real(server: ValkeyServer) -> Iterator[Real]:
    connection = Real(server.port)
    yield connection
    connection.close()


# What is compared how.

UNORDERED = {b"SMEMBERS", b"SUNION", b"SINTER", b"SDIFF", b"KEYS", b"HKEYS", b"HVALS"}
RANDOM = {b"SPOP": b"SMEMBERS", b"SRANDMEMBER": b"SMEMBERS", b"HRANDFIELD": b"HGETALL", b"RANDOMKEY": b"KEYS"}
LEFT = {b"TTL": 2, b"PTTL": 2000, b"EXPIRETIME": 2, b"PEXPIRETIME": 2000}
"""By how much the two may differ, as they are not asked at the same moment."""


def compare(words: Words, lone: Lone | Real, real: Real) -> None:
    """Does the command at both; fails unless the replies mean the same."""
    name = words[0].upper()
    population = real.do([RANDOM[name], *(words[1:2] or [b"*"])]) if name in RANDOM else None
    mine, theirs = lone.do(words), real.do(words)
    if isinstance(mine, ErrorReply) or isinstance(theirs, ErrorReply) or mine is None or theirs is None:
        assert mine == theirs
    elif name in UNORDERED:
        assert sorted(mine) == sorted(theirs)
    elif name == b"HGETALL":
        assert pairs(mine) == pairs(theirs)
    elif name.endswith(b"SCAN"):
        assert mine[0] == theirs[0] == b"0"
        if name == b"HSCAN" and b"NOVALUES" not in [word.upper() for word in words]:
            assert pairs(mine[1]) == pairs(theirs[1])
        else:
            assert sorted(mine[1]) == sorted(theirs[1])
    elif name in LEFT:
        assert mine == theirs or (mine >= 0 and abs(mine - theirs) <= LEFT[name])
    elif name in RANDOM:
        compare_choice(words, mine, theirs, population, real)
    else:
        assert mine == theirs


def compare_choice(words: Words, mine: Any, theirs: Any, population: Words, real: Real) -> None:
    """Both are possible choices; what was taken away is made the same."""
    name = words[0].upper()
    if not isinstance(mine, list):
        mine, theirs = [mine], [theirs]
    assert len(mine) == len(theirs)
    if name == b"HRANDFIELD" and len(words) == 4:
        assert set(zip(mine[::2], mine[1::2], strict=True)) <= set(zip(population[::2], population[1::2], strict=True))
        mine, theirs = mine[::2], theirs[::2]
    assert set(mine) <= set(population)
    assert (len(set(mine)) == len(mine)) or words[2].startswith(b"-")
    if name == b"SPOP" and set(mine) != set(theirs):
        real.do([b"SADD", words[1], *theirs])
        real.do([b"SREM", words[1], *mine])


def pairs(flat: Words) -> list[tuple[bytes, bytes]]:
    """A flat list of names and values, sorted."""
    return sorted(zip(flat[::2], flat[1::2], strict=True))


def compare_states(lone: Lone | Real, real: Real) -> None:
    """Fails unless both hold the same."""
    compare([b"DBSIZE"], lone, real)
    for key in sorted(real.do([b"KEYS", b"*"])):
        compare([b"TYPE", key], lone, real)
        compare([b"PEXPIRETIME", key], lone, real)
        for whole in (b"PFCOUNT",) if key in COUNTED else (b"GET", b"SMEMBERS", b"HGETALL"):
            compare([whole, key], lone, real)


# The sequences.

KEYS = (b"a", b"b", b"c", b"d", b"e", b"f", b"\xff\x00\r\n", b"")
COUNTED = (b"p", b"q", b"r")
"""Keys for HyperLogLogs alone: behind those of a real server is a string, which the commands on strings show."""
MEMBERS = (b"x", b"y", b"z", b"1", b"2", b"-5", b"\x00", b"n\x00n1", b"\xfe\r\n", b"")
INTEGERS = (
    *(b"0", b"1", b"2", b"3", b"7", b"10", b"-1", b"-2", b"-10", b"100", b"1000000"),
    *(b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"-9223372036854775809"),
    *(b"9223372036854775806", b"4611686018427387904", b"18446744073709551616"),
    *(b"", b" 1", b"1 ", b"01", b"+1", b"-0", b"1.0", b"1e3", b"0x10", b"x", b"\xb2", b"1_0", b"--1"),
)
LIFETIMES = tuple(word for word in INTEGERS if not word.isdigit() or not 0 < int(word) < 1000)
"""Without those that would be over before both were asked."""

FLOATS = (
    *(b"0.1", b"-0.1", b"1.5", b"3.0e3", b"-2.50", b"5e-1", b".5", b"5.", b"1e17", b"123456789.123456789", b"1e-17"),
    *(b"1e-18", b"0.3333333333333333333", b"-1e300", b"1e4000", b"1e5000", b"-1e5000", b"1e-5000", b"inf", b"-inf"),
    *(b"nan", b"infinity", b"", b" 1", b"1 ", b".", b"e5", b"1e", b"1e+", b"+3", b"0x10", b"1,5", b"1_0", b"\xff"),
)
WORDS = (b"", b"v", b"hello", b"\x00\xff", b"abc" * 50, "né".encode())
PATTERNS = (
    b"*",
    b"a",
    b"?",
    b"[a-c]",
    b"[^a]",
    b"*x*",
    b"\\a",
    b"[",
    b"[c-a]*",
    b"**",
    b"",
    b"[\xf0-\xff]*",
    b"n*1",
    b"[a",
)
BIT_OFFSETS = (b"0", b"1", b"7", b"8", b"13", b"100", b"#0", b"#1", b"#3", b"-1", b"x", b"4294967296", b"99999999999")
FIELDS = (b"u8", b"i8", b"u1", b"i1", b"u5", b"i13", b"u63", b"i64", b"u64", b"i65", b"i0", b"u08", b"I8", b"x", b"")
OFFSETS = (b"0", b"1", b"3", b"-1", b"-3", b"100", b"-100", b"x", b"9223372036854775807", b"-9223372036854775808")


class Chance:
    """What a random sequence is made of."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._makers: dict[bytes, Callable[[], Words]] = {
            **dict.fromkeys(b"GET STRLEN INCR DECR GETDEL SCARD SMEMBERS HLEN HKEYS HVALS".split(), self._key_only),
            **dict.fromkeys(b"HGETALL TTL PTTL EXPIRETIME PEXPIRETIME PERSIST TYPE".split(), self._key_only),
            **dict.fromkeys(b"MGET DEL UNLINK EXISTS TOUCH SUNION SINTER SDIFF".split(), self._keys),
            **dict.fromkeys(b"RENAME RENAMENX".split(), self._two_keys),
            **dict.fromkeys(b"GETSET SETNX APPEND".split(), self._key_value),
            **dict.fromkeys(b"SADD SREM SMISMEMBER HDEL HMGET".split(), self._key_members),
            **dict.fromkeys(b"SISMEMBER HGET HEXISTS HSTRLEN".split(), self._key_member),
            **dict.fromkeys(b"SUNIONSTORE SINTERSTORE SDIFFSTORE".split(), self._store),
            **dict.fromkeys(b"HSET HMSET".split(), self._fields),
            **dict.fromkeys(b"EXPIRE PEXPIRE".split(), self._expire),
            **dict.fromkeys(b"EXPIREAT PEXPIREAT".split(), self._expire_at),
            **dict.fromkeys(b"MSET MSETNX".split(), self._key_values),
            **dict.fromkeys(b"INCRBY DECRBY".split(), self._key_integer),
            **dict.fromkeys(b"GETRANGE SUBSTR".split(), self._ranges),
            **dict.fromkeys(b"SPOP SRANDMEMBER".split(), self._key_count),
            **dict.fromkeys(b"SETEX PSETEX".split(), self._setex),
            **dict.fromkeys(b"SSCAN HSCAN".split(), self._scan_inside),
            **dict.fromkeys(b"FLUSHDB FLUSHALL".split(), self._flush),
            b"SETBIT": lambda: [self.key(), self.pick(BIT_OFFSETS), self.pick((b"0", b"1", b"1", b"2", b"x"))],
            b"GETBIT": lambda: [self.key(), self.pick(BIT_OFFSETS)],
            b"BITCOUNT": lambda: [self.key(), *self._bit_range()],
            b"BITPOS": lambda: [self.key(), self.pick((b"0", b"1", b"2", b"x")), *self._bit_range()],
            b"BITOP": lambda: [self.pick((b"AND", b"or", b"XOR", b"NOT", b"FOO")), self.key(), *self.some(self.key)],
            b"BITFIELD": lambda: [self.key(), *(word for step in self.some(self._bit_step) for word in step)],
            b"BITFIELD_RO": lambda: [self.key(), *(word for step in self.some(self._bit_step, 2) for word in step)],
            b"PFADD": lambda: [self.pick(COUNTED), *self.pick(([], self.some(lambda: self.pick(MEMBERS), 4)))],
            b"PFCOUNT": lambda: self.some(lambda: self.pick((*COUNTED, *COUNTED, self.key()))),
            b"PFMERGE": lambda: self.some(lambda: self.pick(COUNTED)),
            b"SET": self._set,
            b"GETEX": self._getex,
            b"SETRANGE": lambda: [self.key(), self.pick(OFFSETS[:8]), self.pick(WORDS)],
            b"INCRBYFLOAT": lambda: [self.key(), self.pick(FLOATS)],
            b"SMOVE": lambda: [self.key(), self.key(), self.pick(MEMBERS)],
            b"SINTERCARD": self._sintercard,
            b"HSETNX": lambda: [self.key(), self.pick(MEMBERS), self.value()],
            b"HINCRBY": lambda: [self.key(), self.pick(MEMBERS), self.pick(INTEGERS)],
            b"HINCRBYFLOAT": lambda: [self.key(), self.pick(MEMBERS), self.pick(FLOATS)],
            b"HRANDFIELD": self._hrandfield,
            b"SCAN": self._scan,
            b"KEYS": lambda: [self.pick(PATTERNS)],
            b"DBSIZE": list,
            b"RANDOMKEY": list,
            b"COPY": self._copy,
            b"NOSUCH": lambda: self._keys() * self._random.choice([0, 1, 30]),
        }
        assert self._makers.keys() == COMMANDS.keys() - PURE_EXTRAS | {b"NOSUCH"}, "every command is tried"
        rare = {b"FLUSHDB", b"FLUSHALL", b"NOSUCH", b"RENAME", b"RENAMENX", b"DEL", b"UNLINK", b"GETDEL"}
        self._names = [name for name in self._makers for _ in range(1 if name in rare else 5)]

    def pick(self, choices: Any) -> Any:
        return self._random.choice(choices)

    def command(self) -> Words:
        """A command, mostly sound."""
        name = self.pick(self._names)
        args = self._makers[name]()
        match self._random.randrange(60):
            case 0:
                args = args[: self._random.randrange(len(args) + 1)]
            case 1:
                args = [*args, self.pick((*WORDS, *LIFETIMES, b"NX", b"EX", b"COUNT", b"LIMIT"))]
            case 2 if args and not name.endswith(b"SCAN") and not name.startswith(b"PF"):
                args[self._random.randrange(len(args))] = self.pick((*WORDS, *LIFETIMES, *KEYS, b"nx", b"Get"))
        return [name if self._random.random() < 0.9 else name.lower(), *args]

    def key(self) -> bytes:
        return self.pick(KEYS)

    def value(self) -> bytes:
        return self.pick(self.pick((WORDS, INTEGERS, FLOATS)))

    def some(self, make: Callable[[], Any], most: int = 3) -> list[Any]:
        return [make() for _ in range(self._random.randint(1, most))]

    def _key_only(self) -> Words:
        return [self.key()]

    def _keys(self) -> Words:
        return self.some(self.key)

    def _two_keys(self) -> Words:
        return [self.key(), self.key()]

    def _key_value(self) -> Words:
        return [self.key(), self.value()]

    def _key_member(self) -> Words:
        return [self.key(), self.pick(MEMBERS)]

    def _key_members(self) -> Words:
        return [self.key(), *self.some(lambda: self.pick(MEMBERS), 4)]

    def _key_integer(self) -> Words:
        return [self.key(), self.pick(INTEGERS)]

    def _store(self) -> Words:
        return [self.key(), *self.some(self.key)]

    def _fields(self) -> Words:
        return [self.key(), *(word for pair in self.some(self._field) for word in pair)]

    def _field(self) -> Words:
        return [self.pick(MEMBERS), self.value()]

    def _key_values(self) -> Words:
        return [word for pair in self.some(self._key_value) for word in pair]

    def _ranges(self) -> Words:
        return [self.key(), self.pick(OFFSETS), self.pick(OFFSETS)]

    def _bit_range(self) -> Words:
        words = [self.pick(OFFSETS), self.pick(OFFSETS), self.pick((b"BYTE", b"BIT", b"bit", b"x"))]
        return words[: self.pick((0, 1, 2, 3))]

    def _bit_step(self) -> Words:
        field = self.pick((*FIELDS[:8], self.pick(FIELDS)))
        offset = self.pick((*BIT_OFFSETS[:9], self.pick(BIT_OFFSETS)))
        number = self.pick((b"1", b"-1", b"100", b"-100", self.pick(INTEGERS)))
        change = [self.pick((b"SET", b"INCRBY", b"incrby")), field, offset, number]
        overflow = [b"OVERFLOW", self.pick((b"WRAP", b"SAT", b"FAIL", b"sat", b"x"))]
        return self.pick(([b"GET", field, offset], change, [*overflow, *change]))

    def _flush(self) -> Words:
        return self.pick(([], [b"SYNC"], [b"async"], [b"x"]))

    def _lifetime(self) -> bytes:
        return self.pick((b"100000000", b"0", b"-1", *LIFETIMES))

    def _moment(self) -> bytes:
        return self.pick((b"1", b"99999999999", b"99999999999999", *INTEGERS))

    def _expire(self) -> Words:
        fresh = b"%d" % self._random.randrange(10**6, 10**9)
        never = [word for word in LIFETIMES if word not in (b"1000000", b"4611686018427387904")]
        return [self.key(), self.pick((fresh, fresh, self.pick(never))), *self._expire_options()]

    def _expire_at(self) -> Words:
        return [self.key(), self._moment(), *self._expire_options()]

    def _expire_options(self) -> Words:
        chosen = self.some(lambda: self.pick(b"NX XX GT LT gt foo".split()), 2)
        return self.pick(([], [], [], chosen))

    def _setex(self) -> Words:
        return [self.key(), self.pick((b"1000000", self._lifetime())), self.value()]

    def _option(self) -> Words:
        return self.pick(
            (
                *([b"NX"], [b"XX"], [b"GET"], [b"KEEPTTL"], [b"nx"], [b"PERSIST"], [b"IFEQ", self.value()], [b"foo"]),
                *([b"EX", b"1000"], [b"EX", self._lifetime()], [b"PX", b"1000000"], [b"px", self._lifetime()]),
                *([b"EXAT", self._moment()], [b"PXAT", b"99999999999999"], [b"PXAT", self._moment()]),
            )
        )

    def _set(self) -> Words:
        options = [word for option in self.some(self._option, 3) for word in option]
        return [self.key(), self.value(), *self.pick(([], options))]

    def _getex(self) -> Words:
        return [self.key(), *self.pick(([], self._option(), self._option() + self._option()))]

    def _count(self) -> bytes:
        return self.pick((b"0", b"1", b"2", b"3", b"20", *INTEGERS))

    def _key_count(self) -> Words:
        count = self._count()
        return [self.key(), *self.pick(([], [b"0" if len(count) > 8 and count.startswith(b"-") else count]))]

    def _hrandfield(self) -> Words:
        return [*self._key_count(), *self.pick(([], [b"WITHVALUES"]))]

    def _sintercard(self) -> Words:
        keys = self._keys()
        limit = self.pick(([], [], [b"LIMIT", self._count()]))
        return [self.pick((b"%d" % len(keys), b"%d" % len(keys), self._count())), *keys, *limit]

    def _scan_options(self) -> Words:
        chosen = self.pick(
            ([b"MATCH", self.pick(PATTERNS)], [b"match", b"*"], [b"NOVALUES"], [b"COUNT", self._count()])
        )
        return [*self.pick(([], chosen)), b"COUNT", b"1000"]

    def _scan_inside(self) -> Words:
        return [self.key(), self.pick((b"0", b"0", b"0", b"x", b"-1", b"")), *self._scan_options()]

    def _scan(self) -> Words:
        type_ = self.pick(([], [b"TYPE", self.pick(b"string set hash zset list foo Hash".split())]))
        return [self.pick((b"0", b"0", b"0", b"x", b"")), *self._scan_options(), *type_]

    def _copy(self) -> Words:
        options = self.some(lambda: self.pick(([b"REPLACE"], [b"DB", b"0"], [b"db"], [b"foo"], [b"DB", b"x"])), 2)
        return [self.key(), self.key(), *self.pick(([], [word for option in options for word in option]))]


PURE_EXTRAS = {name for name in COMMANDS if name.startswith(b"DELTAIC.")}
"""Commands that no other server has."""


def run(sequence: list[Words], real: Real, options: CommandOptions) -> str:
    """Does the sequence at both, from nothing; what was wrong first, or nothing."""
    real.do([b"FLUSHDB"])
    lone = Lone(options)
    words: Words = []
    try:
        for words in sequence:
            compare(words, lone, real)
        words = [b"(the states at the end)"]
        compare_states(lone, real)
    except AssertionError as error:
        return f"{b' '.join(map(repr_bytes, words)).decode()}: {error}"
    return ""


def repr_bytes(word: bytes) -> bytes:
    return repr(word)[1:].encode()


def shortest(sequence: list[Words], real: Real, options: CommandOptions) -> list[Words]:
    """A part of a failing sequence that fails still, as short as can be found in time."""
    deadline = time.monotonic() + SHRINK_S
    step = len(sequence)
    while step and time.monotonic() < deadline:
        at = 0
        while at < len(sequence) and time.monotonic() < deadline:
            without = sequence[:at] + sequence[at + step :]
            if run(without, real, options):
                sequence = without
            else:
                at += step
        step //= 2
    return sequence


@pytest.mark.parametrize("shard", range(4))
def test_a_lone_replica_answers_as_a_real_server_does(shard: int, real: Real) -> None:
    """Under one policy and the other: alone, nobody can tell them apart."""
    options = CommandOptions(Policies({b"": RWSET}, {b"": MVREGISTER}) if shard % 2 else None)
    for seed in range(FIRST_SEED + shard, FIRST_SEED + SEQUENCES, 4):
        chance = Chance(seed)
        sequence = [chance.command() for _ in range(LENGTH)]
        wrong = run(sequence, real, options)
        if wrong:
            found = shortest(sequence, real, options)
            listed = "\n".join(b" ".join(map(repr_bytes, words)).decode() for words in found)
            pytest.fail(f"seed {seed}: {wrong}\n\nshortest found: {run(found, real, options)}\n{listed}", pytrace=False)
    print(f"seeds {FIRST_SEED} to {FIRST_SEED + SEQUENCES - 1}")


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: b" ".join(difference.words).decode())
def test_what_is_listed_as_different_is_different(difference: Difference, real: Real) -> None:
    real.do([b"FLUSHDB"])
    lone = Lone(CommandOptions())
    for words in ([b"SADD", b"s", b"m"], [b"HSET", b"h", b"f", b"v"], [b"PFADD", b"p", b"x"]):
        assert lone.do(words) == real.do(words)
    assert lone.do(difference.words) != real.do(difference.words)


def test_a_scan_in_small_steps_gives_everything_that_stays_once() -> None:
    lone = Lone(CommandOptions())
    lone.do([b"SADD", b"s", *(b"m%d" % n for n in range(500))])
    lone.do([b"HSET", b"h", *(word for n in range(300) for word in (b"f%d" % n, b"v"))])
    for n in range(200):
        lone.do([b"SET", b"k%d" % n, b"v"])
    for scan, whole in (([b"SCAN"], 202), ([b"SSCAN", b"s"], 500), ([b"HSCAN", b"h"], 300)):
        found: Words = []
        cursor = b"0"
        for step in range(whole):
            cursor, names = lone.do([*scan, cursor, b"COUNT", b"7", *([b"NOVALUES"] if scan[0] == b"HSCAN" else [])])
            found += names
            lone.do([b"SADD", b"s", b"new%d" % step])
            lone.do([b"HDEL", b"h", b"f%d" % (400 + step)])
            if cursor == b"0":
                break
        assert cursor == b"0"
        assert len(found) == len(set(found))
        assert len([name for name in found if not name.startswith(b"new")]) == whole
