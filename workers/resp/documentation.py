"""What COMMAND DOCS says of each command, and so what `redis-cli` hints at and shows for HELP.

A line of the tables below is the command as it is typed, and what it is for. Arguments in capitals are typed as they
stand; `[...]` may be left out, `a | b` is one of them, and `x [x ...]` is one or more.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from crdt_core.commands import Map, SetOf, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["documentation"]

_STRINGS = """
APPEND key value :: Append to a value. Written whole: of concurrent ones, the later is kept.
DECR key :: Take 1 away. Concurrent decrements add up.
DECRBY key decrement :: Take away an integer. Concurrent decrements add up.
GET key :: The value.
GETDEL key :: The value, which is deleted.
GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] :: \
The value, and set its time to live.
GETRANGE key start end :: A part of the value.
GETSET key value :: The value, which is replaced.
INCR key :: Add 1. Concurrent increments add up.
INCRBY key increment :: Add an integer. Concurrent increments add up.
INCRBYFLOAT key increment :: Add a number. Written whole: of concurrent ones, the later is kept.
MGET key [key ...] :: The values.
MSET key value [key value ...] :: Set all of them, which show together at every node.
MSETNX key value [key value ...] :: Set all of them, if this node has none of the keys.
PSETEX key milliseconds value :: Set a value that expires.
SET key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
PXAT unix-time-milliseconds | KEEPTTL] :: Set the value. Of concurrent ones, the later is kept.
SETEX key seconds value :: Set a value that expires.
SETNX key value :: Set the value, if this node has none.
SETRANGE key offset value :: Overwrite a part. Written whole: of concurrent ones, the later is kept.
STRLEN key :: The length of the value.
SUBSTR key start end :: A part of the value.
"""
_SETS = """
SADD key member [member ...] :: Add members. An add wins over a concurrent remove.
SCARD key :: How many members there are.
SDIFF key [key ...] :: What is in the first set alone.
SDIFFSTORE destination key [key ...] :: Store what is in the first set alone.
SINTER key [key ...] :: What is in all of the sets.
SINTERCARD numkeys key [key ...] [LIMIT limit] :: How many members are in all of the sets.
SINTERSTORE destination key [key ...] :: Store what is in all of the sets.
SISMEMBER key member :: Whether it is a member.
SMEMBERS key :: All members.
SMISMEMBER key member [member ...] :: Which of them are members.
SMOVE source destination member :: Move a member. It is in both, if it is added again concurrently.
SPOP key [count] :: Remove members at random. Two nodes may pop the same one.
SRANDMEMBER key [count] :: Members at random.
SREM key member [member ...] :: Remove the members that this node has seen.
SSCAN key cursor [MATCH pattern] [COUNT count] :: Some members, and where to go on.
SUNION key [key ...] :: What is in any of the sets.
SUNIONSTORE destination key [key ...] :: Store what is in any of the sets.
"""
_HASHES = """
HDEL key field [field ...] :: Delete fields, as this node has seen them.
HEXISTS key field :: Whether there is such a field.
HGET key field :: The value of a field.
HGETALL key :: All fields and their values.
HINCRBY key field increment :: Add an integer to a field. Concurrent increments add up.
HINCRBYFLOAT key field increment :: Add a number to a field. Written whole.
HKEYS key :: The names of all fields.
HLEN key :: How many fields there are.
HMGET key field [field ...] :: The values of fields.
HMSET key field value [field value ...] :: Set fields.
HRANDFIELD key [count [WITHVALUES]] :: Fields at random.
HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES] :: Some fields, and where to go on.
HSET key field value [field value ...] :: Set fields. Of concurrent ones to a field, the later is kept.
HSETNX key field value :: Set a field, if this node has none.
HSTRLEN key field :: The length of a field's value.
HVALS key :: The values of all fields.
"""
_KEYS = """
COPY source destination [DB destination-db] [REPLACE] :: Write what shows under another name.
DEL key [key ...] :: Delete what this node has seen of the keys.
EXISTS key [key ...] :: How many of them exist.
EXPIRE key seconds [NX | XX | GT | LT] :: Set a time to live. Of concurrent ones, the longer is kept.
EXPIREAT key unix-time-seconds [NX | XX | GT | LT] :: Set when it expires.
EXPIRETIME key :: When it expires, in seconds since 1970.
KEYS pattern :: The keys that match.
PERSIST key :: Let it live for ever.
PEXPIRE key milliseconds [NX | XX | GT | LT] :: Set a time to live.
PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] :: Set when it expires.
PEXPIRETIME key :: When it expires, in milliseconds since 1970.
PTTL key :: Its time to live, in milliseconds.
RANDOMKEY :: A key at random.
RENAME key newkey :: Write what shows under another name, and delete it under this one.
RENAMENX key newkey :: The same, if this node has no key of the new name.
SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] :: Some keys, and where to go on.
TOUCH key [key ...] :: How many of them exist.
TTL key :: Its time to live, in seconds.
TYPE key :: Its type.
UNLINK key [key ...] :: Delete what this node has seen of the keys.
WAIT numreplicas timeout :: Wait until so many peers have this connection's writes.
"""
_TRANSACTIONS = """
DISCARD :: Forget the transaction.
EXEC :: Do all of it in one commit, which shows whole or not at all at every node.
MULTI :: Begin a transaction.
UNWATCH :: Watch no key.
WATCH key [key ...] :: Let EXEC fail if a key has changed at this node.
"""
_CHANNELS = """
PSUBSCRIBE pattern [pattern ...] :: Listen to the channels that match.
PUBLISH channel message :: Tell all that listen at this node.
PUBSUB subcommand [argument ...] :: Who listens to what. See PUBSUB HELP.
PUNSUBSCRIBE [pattern [pattern ...]] :: Listen to patterns no more.
SUBSCRIBE channel [channel ...] :: Listen to channels.
UNSUBSCRIBE [channel [channel ...]] :: Listen to channels no more.
"""
_CONNECTION = """
AUTH [username] password :: Log in.
CLIENT subcommand [argument ...] :: This and other connections. See CLIENT HELP.
ECHO message :: The same again.
HELLO [protover [AUTH username password] [SETNAME clientname]] :: Choose the version of the protocol.
PING [message] :: Whether it answers.
QUIT :: End the connection.
RESET :: Make the connection as it was at first.
SELECT index :: There is one database: 0.
"""
_SERVER = """
ACL subcommand [argument ...] :: There is one user. See ACL HELP.
ASKING :: Refused: this is no cluster of shards.
CLUSTER subcommand [argument ...] :: Refused: this is no cluster of shards.
COMMAND subcommand [argument ...] :: Which commands there are. See COMMAND HELP.
CONFIG subcommand [argument ...] :: What clients ask of settings. See CONFIG HELP.
DBSIZE :: How many keys there are.
FLUSHALL [ASYNC | SYNC] :: Delete what this node has seen of everything.
FLUSHDB [ASYNC | SYNC] :: Delete what this node has seen of everything.
INFO [section [section ...]] :: How the node fares.
LASTSAVE :: When the worker started.
LATENCY subcommand [argument ...] :: Nothing is kept of it. See LATENCY HELP.
MODULE subcommand [argument ...] :: There are none. See MODULE HELP.
READONLY :: Refused: this is no cluster of shards.
READWRITE :: Refused: this is no cluster of shards.
ROLE :: Every node takes writes.
SLOWLOG subcommand [argument ...] :: Nothing is kept of it. See SLOWLOG HELP.
TIME :: What the node's clock shows.
"""
_DELTAIC = """
DELTAIC.AWAIT token milliseconds :: Wait until this node has all that a token of another one names.
DELTAIC.COUNTER.ADD key amount [KIND kind] :: Add to a counter of a kind: gcounter or pncounter. Concurrent ones add up.
DELTAIC.COUNTER.GET key :: The kind and the value of a counter.
DELTAIC.COUNTER.RAISE key replica total :: Learn that another replica has counted up to a total.
DELTAIC.COUNTER.SUBTRACT key amount [KIND kind] :: Take away from a pncounter. Concurrent ones add up.
DELTAIC.DWDISABLE key :: Disable a flag. It wins over a concurrent enable.
DELTAIC.DWENABLE key :: Enable a flag that a concurrent disable wins over.
DELTAIC.ENABLED key :: Whether the flag is enabled, of either kind.
DELTAIC.EWDISABLE key :: Disable a flag that a concurrent enable wins over.
DELTAIC.EWENABLE key :: Enable a flag. It wins over a concurrent disable.
DELTAIC.EXPLAIN key [COUNT count] :: Every write that makes up what shows, and which won and why.
DELTAIC.FLAG.SET key flag :: Enable (1) or disable (0) a flag, as its kind has it. A new one lets an enable win.
DELTAIC.HEAL [peer ...] :: Listen to the peers again; to all, if none is named.
DELTAIC.INSPECT key :: The type, value, siblings and hidden types of a key, as JSON.
DELTAIC.MVGET key :: All concurrent values, the newest first.
DELTAIC.MVSET key value :: Set the value. Of concurrent ones, all are kept.
DELTAIC.PARTITION [peer ...] :: Stop listening to the peers; to all, if none is named.
DELTAIC.REGISTER.GET key :: The kind, the values and the timestamp of a register.
DELTAIC.REGISTER.SET key value [TIMESTAMP timestamp] [KIND kind] :: \
Write a register of a kind: lwwregister, which may have a timestamp, or mvregister.
DELTAIC.RWSADD key member [member ...] :: Add members to a set where a concurrent remove wins.
DELTAIC.RWSREM key member [member ...] :: Remove members, and keep out who is added concurrently.
DELTAIC.SET.ADD key element [KIND kind] :: Add to a set of a kind: gset or orset. An add wins over a concurrent remove.
DELTAIC.SET.GET key :: The kind and the sorted members of a set.
DELTAIC.SET.REMOVE key element :: Remove the element, if this node has seen it.
DELTAIC.SIBLINGS key [COUNT count] :: Every write that makes up what shows.
DELTAIC.SYNC [peer ...] :: Exchange with the peers now; with some of them, if none is named.
DELTAIC.TOKEN :: What this node has seen, to be awaited at another one.
"""
_GROUPS = {
    b"string": _STRINGS,
    b"set": _SETS,
    b"hash": _HASHES,
    b"generic": _KEYS,
    b"transactions": _TRANSACTIONS,
    b"pubsub": _CHANNELS,
    b"connection": _CONNECTION,
    b"server": _SERVER,
    b"deltaic": _DELTAIC,
}
_WORDS = re.compile(r"\.\.\.|[\[\]|]|[^\s\[\]|]+")
_KEY_NAMES = frozenset({"key", "newkey", "source", "destination"})
_Argument = dict[str, Any]


def documentation(name: bytes) -> Map:
    """What there is to say of the command (in upper case); nothing but its being there where there is no line."""
    group, syntax, summary = _lines().get(name, (b"generic", "", ""))
    items: list[tuple[Any, Any]] = [(b"summary", summary.encode()), (b"since", b"0.1.0"), (b"group", group)]
    arguments = _sequence(iter(_WORDS.findall(syntax)))
    return Map([*items, (b"arguments", [_encoded(argument) for argument in arguments])] if arguments else items)


@cache
def _lines() -> dict[bytes, tuple[bytes, str, str]]:
    """Group, arguments and summary by name."""
    found = {}
    for group, table in _GROUPS.items():
        for line in table.strip().splitlines():
            usage, _, summary = line.partition(" :: ")
            name, _, syntax = usage.partition(" ")
            found[name.encode()] = (group, syntax, summary)
    return found


def _sequence(words: Iterator[str]) -> list[_Argument]:
    """The arguments up to the end, or to the bracket that closes them."""
    choices: list[list[_Argument]] = [[]]
    for word in words:
        here = choices[-1]
        if word == "]":
            break
        if word == "|":
            choices.append([])
        elif word == "...":
            here.append({"type": "ellipsis"})
        elif word == "[":
            _add_optional(here, _sequence(words))
        elif here and here[-1]["type"] == "pure-token" and not word.isupper():
            here[-1] = _plain(word) | {"token": here[-1]["token"]}
        else:
            here.append({"name": word.lower(), "type": "pure-token", "token": word} if word.isupper() else _plain(word))
    if len(choices) == 1:
        return choices[0]
    return [{"name": "choice", "type": "oneof", "arguments": [_one(choice) for choice in choices]}]


def _add_optional(before: list[_Argument], inner: list[_Argument]) -> None:
    """Adds what stands in brackets; where it repeats what stands before them, that may be given more than once."""
    repeats = inner[-1]["type"] == "ellipsis"
    inner = inner[:-1] if repeats else inner
    if repeats and before[-len(inner) :] == inner:
        del before[-len(inner) :]
        before.append(_flagged(_one(inner), "multiple"))
    else:
        before.append(_flagged(_one(inner), "optional", *(["multiple"] if repeats else [])))


def _flagged(argument: _Argument, *flags: str) -> _Argument:
    return argument | {"flags": [*flags, *argument.get("flags", ())]}


def _one(arguments: list[_Argument]) -> _Argument:
    """Several arguments as one."""
    if len(arguments) == 1:
        return arguments[0]
    return {"name": "group", "type": "block", "arguments": arguments}


def _plain(word: str) -> _Argument:
    return {"name": word, "type": "key" if word in _KEY_NAMES else "string"}


def _encoded(argument: _Argument) -> Map:
    items: list[tuple[Any, Any]] = []
    for name, value in argument.items():
        if name == "flags":
            items.append((b"flags", SetOf([Status(flag) for flag in value])))
        elif name == "arguments":
            items.append((b"arguments", [_encoded(inner) for inner in value]))
        else:
            items.append((name.encode(), value.encode()))
    return Map(items)
