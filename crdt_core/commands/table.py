"""Which commands there are, and what is said of those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import (
    counters,
    counting,
    expiry,
    explain,
    flags,
    hashes,
    inspection,
    keys,
    registers,
    sets,
    strings,
    typed_sets,
)
from crdt_core.commands.arguments import shown_in_c
from crdt_core.commands.replies import CommandError

if TYPE_CHECKING:
    from crdt_core.commands.command import Command

__all__ = ["COMMANDS", "UNSUPPORTED", "lookup"]

COMMANDS: dict[bytes, Command] = {
    command.name: command
    for module in (
        *(strings, counting, sets, hashes, flags, keys, expiry, explain),
        *(counters, typed_sets, registers, inspection),
    )
    for command in module.COMMANDS
}
"""By name, in upper case."""

UNSUPPORTED = frozenset(
    b"""
    ACL ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP
    BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER CLUSTERSCAN COMMAND COMMANDLOG CONFIG DEBUG DELIFEQ DISCARD
    DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC FAILOVER FCALL FCALL_RO FUNCTION GEOADD GEODIST GEOHASH GEOPOS
    GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE GETBIT HELLO HEXPIRE
    HEXPIREAT HEXPIRETIME HGETDEL HGETEX HPERSIST HPEXPIRE HPEXPIREAT HPEXPIRETIME HPTTL HSETEX HTTL INFO LASTSAVE
    LATENCY LCS LINDEX LINSERT LLEN LMOVE LMPOP LOLWUT LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MIGRATE
    MODULE MONITOR MOVE MSETEX MULTI OBJECT PFADD PFCOUNT PFDEBUG PFMERGE PFSELFTEST PING PSUBSCRIBE PSYNC PUBLISH
    PUBSUB PUNSUBSCRIBE QUIT READONLY READWRITE REPLCONF REPLICAOF RESET RESTORE RESTORE-ASKING ROLE RPOP RPOPLPUSH
    RPUSH RPUSHX SAVE SCRIPT SELECT SETBIT SHUTDOWN SLAVEOF SLOWLOG SORT SORT_RO SPUBLISH SSUBSCRIBE SUBSCRIBE
    SUNSUBSCRIBE SWAPDB SYNC TIME UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP
    XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY
    ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX
    ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX
    ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
    """.split()
)
"""What Redis has and is not here: not, or not yet, or because it needs the connection, which is not known here."""

_SHOWN_MAX = 128


def lookup(name: bytes, args: list[bytes]) -> Command:
    """The command of that name, in whatever case, for these arguments; raises `CommandError` with Redis's own text."""
    command = COMMANDS.get(name) or COMMANDS.get(name.upper())
    if command is None:
        raise CommandError(_unknown(name, args))
    arity, count = command.arity, len(args) + 1
    if count != arity and (arity > 0 or count < -arity):
        raise CommandError(f"ERR wrong number of arguments for '{command.name.decode().lower()}' command")
    return command


def _unknown(name: bytes, args: list[bytes]) -> str:
    if name.upper() in UNSUPPORTED:
        return f"ERR unsupported command '{name.decode().upper()}': Deltaic does not have it"
    shown = b""
    for arg in args:
        if len(shown) >= _SHOWN_MAX:
            break
        shown += b"'%s' " % shown_in_c(arg, _SHOWN_MAX - len(shown))
    text = b"ERR unknown command '%s', with args beginning with: %s" % (shown_in_c(name, _SHOWN_MAX), shown)
    return text.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ")
