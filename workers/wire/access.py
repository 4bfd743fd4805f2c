"""Says who may do what with which Redis key, and writes it down as Redis users: `deltaic acl` prints them.

The keys are those of `workers.wire.keys`. Four roles use the Redis of a node:

    owner      the node's own worker, and commands on its host. It may read and write all keys of the node
    peer       the workers, jobs and commands of the other nodes. They read what the node publishes, and put messages
               into its inbox; they neither read nor write its state. `deltaic node add` notes there what it has added
    jobs       the node's RQ workers and its scheduler. They own RQ's keys, and ask the worker by its inbox
    inspector  a person who looks. It reads all keys, and writes none

A peer or a job has exactly the commands that it sends, key by key. Redis calls such a rule a selector; Redis 7 and
Valkey know them. The owner has kinds of commands instead: it has all the keys anyway, and a check of many rules would
slow down every commit. None of the roles may do what concerns the server as a whole: FLUSHALL, CONFIG, SHUTDOWN,
MODULE, ACL and their like.

A machine whose name another one keeps goes on under that of its addition (`crdt_core.membership.namesakes`). So each
role has its rights about the keys of those names, too. The owner may also look back to the former name from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from crdt_core.membership.incarnations import name_at_addition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["CHANNEL", "LAYOUT", "KeyAccess", "Role", "acl_file", "set_user_commands", "user_name"]


class Role(StrEnum):
    """Who uses the Redis of a node; see above."""

    OWNER = "owner"
    PEER = "peer"
    JOBS = "jobs"
    INSPECTOR = "inspector"


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """What peers and jobs send about the keys of a pattern, in which `<node>` stands for the node's name.

    The names of the commands, by the right that they need: `%R` to read, `%W` to write, `%RW` to do both.
    """

    pattern: str
    peer: Mapping[str, str] = field(default_factory=dict)
    jobs: Mapping[str, str] = field(default_factory=dict)


_HEADER = {"%R": "hget hmget hgetall"}
_WHOLE = {"%R": "hgetall"}
_SIGN_OF_LIFE = {"%R": "get exists"}

LAYOUT: tuple[KeyAccess, ...] = (
    KeyAccess("deltaic:{<node>}", peer=_HEADER, jobs=_HEADER),
    KeyAccess("deltaic:{<node>}:state"),
    KeyAccess("deltaic:{<node>}:obj:*"),
    KeyAccess("deltaic:{<node>}:obj:deltaic:members", peer=_WHOLE, jobs=_WHOLE),
    KeyAccess("deltaic:{<node>}:rival:*"),
    KeyAccess("deltaic:{<node>}:staged"),
    KeyAccess("deltaic:{<node>}:log", peer={"%R": "xread xrange xlen"}),
    KeyAccess("deltaic:{<node>}:log.*", peer={"%R": "xread xrange xlen"}),
    KeyAccess("deltaic:{<node>}:log-*", peer={"%R": "xread xrange xlen"}),
    KeyAccess("deltaic:{<node>}:inbox", peer={"%W": "xadd", "%R": "xlen"}, jobs={"%W": "xadd"}),
    KeyAccess("deltaic:{<node>}:links", peer=_WHOLE, jobs=_WHOLE),
    KeyAccess("deltaic:{<node>}:quarantine", peer={"%R": "xlen"}),
    KeyAccess("deltaic:{<node>}:answer:*", jobs={"%RW": "blpop"}),
    KeyAccess("deltaic:{<node>}:alive", peer=_SIGN_OF_LIFE, jobs=_SIGN_OF_LIFE),
    KeyAccess("deltaic:{<node>}:met", peer=_WHOLE, jobs=_WHOLE),
    KeyAccess("deltaic:{<node>}:added", peer={"%R": "smembers", "%W": "sadd"}, jobs={"%R": "smembers"}),
    KeyAccess("deltaic:{<node>}:probe"),
    KeyAccess("deltaic:{<node>}:lock:*", jobs={"%RW": "set get del eval evalsha"}),
    KeyAccess("deltaic:fleet", peer={"%R": "hget"}, jobs={"%R": "hget"}),
    KeyAccess("deltaic:audit", peer={"%R": "hget"}, jobs={"%W": "hset"}),
    KeyAccess("deltaic:refused_jobs", jobs={"%RW": "incr"}),
    KeyAccess("rq:*"),
)
"""All keys. The owner may use each of them, the inspector may read each."""
CHANNEL = "deltaic:{<node>}:published"
"""The only channel. The owner publishes there, the peers listen."""

_ADDITION = "-??????"
"""What the name of an addition has behind the node's: the six digits of its nonce. A star would match other keys."""

_NOTHING_YET = ("on", "resetkeys", "resetchannels", "clearselectors", "-@all")
_CONNECTION = tuple(
    "+" + name
    for name in (
        *("ping", "hello", "auth", "select", "reset", "quit", "client|setname", "client|setinfo", "client|id"),
        *("client|info", "multi", "exec", "discard", "time"),
    )
)
_OWN_CONNECTION = ("+@connection", "+@transaction", "+time")
_KINDS_OF_DATA = ("+@read", "+@write", "-@dangerous", "-@scripting")
_DATA = (*_KINDS_OF_DATA, "+eval", "+evalsha", "+script|load", "+script|exists", "+info")


def user_name(role: Role) -> str:
    """Return the name of the Redis user of a role."""
    return f"deltaic-{role}"


def set_user_commands(nodes: Sequence[str]) -> list[str]:
    """Return the commands that give the users of `nodes`, which share one Redis, their rights there.

    They replace the rights that the users had, and keep their passwords.
    """
    return [f"ACL SETUSER {user_name(role)} {' '.join(_rules(role, nodes))}" for role in Role]


def acl_file(nodes: Sequence[str], passwords: Mapping[Role, str]) -> list[str]:
    """Return the lines of a Redis ACL file with the users of `nodes`. It holds hashes of the passwords.

    The user `default`, which Redis gives every right, can then do nothing but PING, for health checks.
    """
    users = [
        f"user {user_name(role)} #{sha256(passwords[role].encode()).hexdigest()} {' '.join(_rules(role, nodes))}"
        for role in Role
    ]
    return ["user default on nopass resetkeys resetchannels -@all +ping", *users]


def _rules(role: Role, nodes: Sequence[str]) -> Iterable[str]:
    """Return the words of the rights of a role."""
    channels = ["&" + channel for channel in _patterns(CHANNEL, nodes)]
    match role:
        case Role.OWNER:
            shared = ["~" + access.pattern for access in LAYOUT if "<node>" not in access.pattern]
            names = dict.fromkeys([*_former_names(nodes), *_names(nodes)])
            own = [f"~deltaic:{{{name}}}{rest}" for name in names for rest in ("", ":*")]
            return [*_NOTHING_YET, *own, *shared, *channels, *_OWN_CONNECTION, *_DATA, "+client|list", "+publish"]
        case Role.PEER:
            listening = (*channels, "+subscribe", "+client|tracking")
            return [*_NOTHING_YET, *_CONNECTION, "+info", *listening, *_selectors(role, nodes)]
        case Role.JOBS:
            return [*_NOTHING_YET, *_CONNECTION, "+watch", "+unwatch", "~rq:*", *_DATA, *_selectors(role, nodes)]
        case Role.INSPECTOR:
            return [*_NOTHING_YET, *_CONNECTION, "%R~deltaic:*", "%R~rq:*", "+@read", "-@dangerous", "+info"]


def _selectors(role: Role, nodes: Sequence[str]) -> list[str]:
    """Return one selector per pattern of keys and right, for the keys of all `nodes`."""
    return [
        f"({' '.join(f'{right}~{pattern}' for pattern in _patterns(access.pattern, nodes))} "
        f"{' '.join('+' + name for name in commands.split())})"
        for access in LAYOUT
        for right, commands in (access.peer if role is Role.PEER else access.jobs).items()
    ]


def _patterns(pattern: str, nodes: Sequence[str]) -> list[str]:
    """Return `pattern` for all names of `nodes`, once if it is the same for all."""
    return list(dict.fromkeys(pattern.replace("<node>", name) for name in _names(nodes)))


def _names(nodes: Sequence[str]) -> list[str]:
    """Return the names of `nodes`, and after each those under which its machine may go on."""
    return [name for node in nodes for name in (node, node + _ADDITION)]


def _former_names(nodes: Sequence[str]) -> list[str]:
    """Return the names that machines have had which are called after their addition."""
    return [former for node in nodes if (former := name_at_addition(node))]
