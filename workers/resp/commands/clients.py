"""CLIENT: what a client says of itself, and what is known of all clients."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, CommandError, ErrorReply, Map
from crdt_core.commands.arguments import SYNTAX, parse_integer, parse_within
from workers.resp.commands.rows import client_command, family
from workers.resp.context import USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.context import Client

__all__ = ["COMMANDS", "set_name"]

_SYNTAX = ErrorReply(SYNTAX)
_TYPES = frozenset({b"normal", b"pubsub", b"master", b"slave", b"replica", b"primary"})


def set_name(client: Client, name: bytes) -> Any:
    """Name the client; return OK, or the error for a name that is not allowed."""
    if any(not 0x21 <= byte <= 0x7E for byte in name):
        return ErrorReply("ERR Client names cannot contain spaces, newlines or special characters.")
    client.name = name[:1024]
    return OK


def _set_name(client: Client, args: list[bytes]) -> Any:
    return set_name(client, args[0])


def _set_info(client: Client, args: list[bytes]) -> Any:
    attribute, value = args[0].lower(), args[1]
    if attribute not in {b"lib-name", b"lib-ver"}:
        return ErrorReply(f"ERR Unrecognized option '{_shown(attribute)}'")
    if any(not 0x21 <= byte <= 0x7E for byte in value):
        return ErrorReply(f"ERR {attribute.decode()} cannot contain spaces, newlines or special characters.")
    client.library[attribute] = value[:1024]
    return OK


def _id(client: Client, _args: list[bytes]) -> int:
    return client.id


def _get_name(client: Client, _args: list[bytes]) -> bytes | None:
    return client.name or None


def _info(client: Client, _args: list[bytes]) -> bytes:
    return _description(client)


def _list(client: Client, args: list[bytes]) -> Any:
    clients = client.services.clients
    match [arg.upper() for arg in args]:
        case []:
            chosen = list(clients.values())
        case [b"ID", *ids] if ids:
            wanted = [parse_integer(id_, "ERR Invalid client ID") for id_ in ids]
            chosen = [clients[id_] for id_ in wanted if id_ in clients]
        case [b"TYPE", _]:
            if args[1].lower() not in _TYPES:
                return ErrorReply(f"ERR Unknown client type '{_shown(args[1])}'")
            chosen = [found for found in clients.values() if _type(found) == args[1].lower()]
        case _:
            return _SYNTAX
    return b"".join(map(_description, chosen))


def _type(client: Client) -> bytes:
    return b"pubsub" if client.subscriptions else b"normal"


def _reply(client: Client, args: list[bytes]) -> Any:
    modes = {b"ON": "", b"OFF": "off", b"SKIP": "skip"}
    if args[0].upper() not in modes:
        return _SYNTAX
    client.mute = modes[args[0].upper()]
    return OK


def _switch(_client: Client, args: list[bytes]) -> Any:
    """Accept NO-EVICT and NO-TOUCH: nobody is evicted here, and reading touches nothing."""
    return OK if args[0].upper() in {b"ON", b"OFF"} else _SYNTAX


def _kill(client: Client, args: list[bytes]) -> Any:
    clients = list(client.services.clients.values())
    if len(args) == 1:
        victims = [found for found in clients if found.address.encode() == args[0]]
        return OK if _end(client, victims) else ErrorReply("ERR No such client")
    spares_itself, filters = True, []
    for option, value in zip(args[::2], args[1::2], strict=False):
        if option.upper() == b"SKIPME" and value.upper() in {b"YES", b"NO"}:
            spares_itself = value.upper() == b"YES"
        elif (wanted := _filter(option.upper(), value)) is not None:
            filters.append(wanted)
        else:
            return _SYNTAX
    if len(args) % 2:
        return _SYNTAX
    victims = [found for found in clients if all(matches(found) for matches in filters)]
    return _end(client, [found for found in victims if found is not client or not spares_itself])


def _filter(option: bytes, value: bytes) -> Callable[[Client], bool] | None:  # noqa: PLR0911  one line each
    """Return which clients one filter of CLIENT KILL picks; `None` if there is no such filter."""
    match option:
        case b"ID":
            id_ = parse_within(value, 1, refusal="ERR client-id should be greater than 0")
            return lambda found: found.id == id_
        case b"ADDR":
            return lambda found: found.address.encode() == value
        case b"LADDR":
            return lambda found: found.local_address.encode() == value
        case b"TYPE" if value.lower() in _TYPES:
            return lambda found: _type(found) == value.lower()
        case b"USER":
            return lambda found: found.trusted and value == USER
        case b"MAXAGE":
            age_s, now_s = parse_integer(value, "ERR maxage is not an integer or out of range"), monotonic()
            if age_s <= 0:
                raise CommandError("ERR maxage should be greater than 0")
            return lambda found: now_s - found.since_s >= age_s
    return None


def _end(client: Client, victims: list[Client]) -> int:
    for victim in victims:
        if victim is client:
            client.finish_soon()
        else:
            victim.abort()
    return len(victims)


def _redirection(_client: Client, _args: list[bytes]) -> int:
    return -1


def _tracking_info(_client: Client, _args: list[bytes]) -> Map:
    return Map([(b"flags", [b"off"]), (b"redirect", -1), (b"prefixes", [])])


def _description(client: Client) -> bytes:
    """Return the line of CLIENT LIST for `client`."""
    now_s = monotonic()
    flags = "P" if _type(client) == b"pubsub" else "x" if client.transaction is not None else "N"
    fields = {
        "id": client.id,
        "addr": client.address,
        "laddr": client.local_address,
        "name": client.name.decode(),
        "age": int(now_s - client.since_s),
        "idle": int(now_s - client.active_s),
        "flags": flags,
        "db": 0,
        "sub": len(client.channels),
        "psub": len(client.patterns),
        "multi": len(client.transaction.commands) if client.transaction is not None else -1,
        "watch": len(client.watch.keys) if client.watch is not None else 0,
        "omem": client.output_bytes,
        "cmd": client.last_command.decode().lower(),
        "user": USER.decode() if client.trusted else "(none)",
        "resp": 3 if client.resp3 else 2,
        "lib-name": client.library.get(b"lib-name", b"").decode(),
        "lib-ver": client.library.get(b"lib-ver", b"").decode(),
    }
    return (" ".join(f"{name}={value}" for name, value in fields.items()) + "\n").encode()


def _shown(text: bytes) -> str:
    return text[:128].decode("utf-8", "backslashreplace")


_FLAGS = "noscript loading stale allow_busy"
_ADMIN = "admin noscript loading stale"

COMMANDS = (
    family(
        "connection",
        "CLIENT",
        "Shows and manages connections.",
        (
            client_command(
                "connection", "CLIENT|GETNAME", 2, _FLAGS, _get_name, "Returns the name of this connection."
            ),
            client_command(
                "connection",
                "CLIENT|GETREDIR",
                2,
                _FLAGS,
                _redirection,
                "Returns -1: no invalidations are sent anywhere.",
            ),
            client_command("connection", "CLIENT|ID", 2, _FLAGS, _id, "Returns the number of this connection."),
            client_command(
                "connection",
                "CLIENT|INFO",
                2,
                "noscript loading stale",
                _info,
                "Returns what is known of this connection.",
            ),
            client_command(
                "connection",
                "CLIENT|KILL ip:port | [ID client-id] [ADDR ip:port] [LADDR ip:port] [TYPE client-type] [USER username]"
                " [MAXAGE maxage] [SKIPME yes-or-no]",
                -3,
                _ADMIN,
                _kill,
                "Ends connections.",
                complexity="O(N) in the connections",
            ),
            client_command(
                "connection",
                "CLIENT|LIST [ID client-id [client-id ...] | TYPE client-type]",
                -2,
                _ADMIN,
                _list,
                "Returns a line for each connection.",
                complexity="O(N) in the connections",
            ),
            client_command(
                "connection",
                "CLIENT|NO-EVICT ON | OFF",
                3,
                _ADMIN + " allow_busy",
                _switch,
                "Changes nothing: nobody is evicted.",
            ),
            client_command(
                "connection",
                "CLIENT|NO-TOUCH ON | OFF",
                3,
                _FLAGS,
                _switch,
                "Changes nothing: reading touches nothing.",
            ),
            client_command(
                "connection",
                "CLIENT|REPLY ON | OFF | SKIP",
                3,
                _FLAGS + " no_multi",
                _reply,
                "Turns the replies to this connection on or off.",
            ),
            client_command(
                "connection",
                "CLIENT|SETINFO LIB-NAME libname | LIB-VER libver",
                4,
                _FLAGS,
                _set_info,
                "Names the library of this connection.",
            ),
            client_command("connection", "CLIENT|SETNAME clientname", 3, _FLAGS, _set_name, "Names this connection."),
            client_command(
                "connection",
                "CLIENT|TRACKINGINFO",
                2,
                "noscript loading stale",
                _tracking_info,
                "Says that the reads of this connection are not tracked.",
            ),
        ),
        in_multi="queued",
    ),
)
