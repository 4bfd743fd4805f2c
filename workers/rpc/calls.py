"""The calls on objects as a table: by which command of the core each is done, and how the reply is told.

The table serves calls that come alone and calls that come in batches. Here a request becomes the arguments of a
command, and is checked against the limits, before anything is done.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.commands import COMMANDS, CommandOptions
from crdt_core.errors import InvalidArgument, TooLarge
from crdt_core.types import DWFLAG, EWFLAG, GCOUNTER, GSET, LWWREGISTER, MVREGISTER, ORSET, PNCOUNTER, RWSET
from crdt_core.types.members import MEMBERS_KEY, RESERVED
from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crdt_core.commands import Command, Session
    from workers.config.settings import LimitSettings

__all__ = ["OBJECT_CALLS", "ObjectCall", "check_key", "command_options", "within"]


class ObjectCall(NamedTuple):
    """One call on an object.

    `command` does it. `args` makes the command's arguments of a request; it raises `InvalidArgument` and `TooLarge`.
    `response` is the class of the response, and `tell` writes the command's reply into one.
    """

    command: Command[Session]
    args: Callable[[Any, LimitSettings], list[bytes]]
    response: Callable[[], Any]
    tell: Callable[[Any, Any], None]


def command_options(limits: LimitSettings) -> CommandOptions:
    """Return the options of commands that come over gRPC.

    There are no policies: a request names the kind of an object, or leaves it to the contract. Replies are not bounded
    here, as every answer is bounded as a message.
    """
    return CommandOptions(value_bytes_max=limits.value_bytes_max, reply_bytes_max=sys.maxsize)


def check_key(field: str, text: str, limits: LimitSettings) -> bytes:
    """Return the key in a request. Raises `InvalidArgument`, `TooLarge`."""
    if not text:
        raise InvalidArgument(field, "must not be empty")
    key = text.encode()
    if key.startswith(RESERVED):
        raise InvalidArgument(field, _MEMBERS if key == MEMBERS_KEY else _RESERVED)
    return within(field, key, limits.key_bytes_max, "limits.key_bytes_max")


_MEMBERS = f"{MEMBERS_KEY.decode()} is reserved: it holds the fleet's members; see `deltaic node`"
_RESERVED = f"keys that begin with {RESERVED.decode()!r} are reserved"


def within(field: str, value: bytes, limit: int, setting: str) -> bytes:
    """Return `value` if it is no longer than `limit` bytes. Raises `TooLarge`."""
    if len(value) > limit:
        raise TooLarge(field, len(value), limit, setting)
    return value


# Counters


def _count_args(request: pb.IncrementCounterRequest | pb.DecrementCounterRequest, limits: LimitSettings) -> list[bytes]:
    amount = b"%d" % request.amount if request.HasField("amount") else b"1"
    key = check_key("counter_id", request.counter_id, limits)
    return [key, amount, *_COUNTER_KINDS.options(request.kind)]


def _counter_args(request: pb.GetCounterRequest, limits: LimitSettings) -> list[bytes]:
    return [check_key("counter_id", request.counter_id, limits)]


def _tell_value(response: Any, value: int) -> None:
    response.value = value


def _tell_counter(response: pb.GetCounterResponse, reply: Any) -> None:
    if reply is not None:
        (_, kind), (_, value) = reply.items
        response.kind, response.value = _COUNTER_KINDS.code(kind), value


# Sets


def _element_args(request: pb.AddToSetRequest | pb.RemoveFromSetRequest, limits: LimitSettings) -> list[bytes]:
    key = check_key("set_id", request.set_id, limits)
    if not request.element:
        raise InvalidArgument("element", "must not be empty")
    return [key, _value("element", request.element, limits), *_SET_KINDS.options(request.kind)]


def _set_args(request: pb.GetSetRequest, limits: LimitSettings) -> list[bytes]:
    return [check_key("set_id", request.set_id, limits)]


def _tell_added(response: pb.AddToSetResponse, added: int) -> None:
    response.added = bool(added)


def _tell_removed(response: pb.RemoveFromSetResponse, removed: int) -> None:
    response.removed = bool(removed)


def _tell_set(response: pb.GetSetResponse, reply: Any) -> None:
    if reply is not None:
        (_, kind), (_, members) = reply.items
        response.kind = _SET_KINDS.code(kind)
        response.elements.extend(map(_text, members))


# Registers


def _write_args(request: pb.SetRegisterRequest, limits: LimitSettings) -> list[bytes]:
    key, value = check_key("register_id", request.register_id, limits), _value("value", request.value, limits)
    timestamp = [b"TIMESTAMP", b"%d" % request.timestamp] if request.HasField("timestamp") else []
    return [key, value, *timestamp, *_REGISTER_KINDS.options(request.kind)]


def _register_args(request: pb.GetRegisterRequest, limits: LimitSettings) -> list[bytes]:
    return [check_key("register_id", request.register_id, limits)]


def _tell_applied(response: pb.SetRegisterResponse, applied: int) -> None:
    response.applied = bool(applied)


def _tell_register(response: pb.GetRegisterResponse, reply: Any) -> None:
    if reply is not None:
        (_, kind), (_, values), (_, timestamp) = reply.items
        response.kind = _REGISTER_KINDS.code(kind)
        response.values.extend(map(_text, values))
        if timestamp is not None:
            response.timestamp = timestamp


# Flags and keys


def _switch_args(request: pb.SetFlagRequest, limits: LimitSettings) -> list[bytes]:
    key, enabled = check_key("flag_id", request.flag_id, limits), b"1" if request.enabled else b"0"
    return [key, enabled, *_FLAG_KINDS.options(request.kind)]


def _flag_args(request: pb.GetFlagRequest, limits: LimitSettings) -> list[bytes]:
    return [check_key("flag_id", request.flag_id, limits)]


def _tell_enabled(response: pb.SetFlagResponse | pb.GetFlagResponse, enabled: int) -> None:
    response.enabled = bool(enabled)


def _delete_args(request: pb.DeleteRequest, limits: LimitSettings) -> list[bytes]:
    return [check_key("key", request.key, limits)]


def _tell_deleted(response: pb.DeleteResponse, deleted: int) -> None:
    response.deleted = bool(deleted)


# What they share


class _Kinds:
    """The kinds of one family of objects: their numbers in the contract, and the names of their types."""

    def __init__(self, names: Mapping[int, bytes]) -> None:
        self._options = {kind: [b"KIND", name] for kind, name in names.items()}
        self._codes = {name: kind for kind, name in names.items()}

    def options(self, kind: int) -> list[bytes]:
        """Return the option that names the kind, nothing for an unspecified kind. Raises `InvalidArgument`."""
        if not kind:
            return []
        if kind not in self._options:
            raise InvalidArgument("kind", f"{kind} is not one of {sorted(self._options)}")
        return self._options[kind]

    def code(self, name: bytes) -> Any:
        """Return the number of the kind of that name, 0 for a kind that the contract does not have."""
        return self._codes.get(name, 0)


_COUNTER_KINDS = _Kinds(
    {pb.GROW_ONLY_COUNTER: GCOUNTER.encoded_name, pb.POSITIVE_NEGATIVE_COUNTER: PNCOUNTER.encoded_name}
)
_SET_KINDS = _Kinds(
    {
        pb.GROW_ONLY_SET: GSET.encoded_name,
        pb.OBSERVED_REMOVE_SET: ORSET.encoded_name,
        pb.REMOVE_WINS_SET: RWSET.encoded_name,
    }
)
_FLAG_KINDS = _Kinds({pb.ENABLE_WINS_FLAG: EWFLAG.encoded_name, pb.DISABLE_WINS_FLAG: DWFLAG.encoded_name})
_REGISTER_KINDS = _Kinds(
    {pb.LAST_WRITER_WINS_REGISTER: LWWREGISTER.encoded_name, pb.MULTI_VALUE_REGISTER: MVREGISTER.encoded_name}
)


def _value(field: str, text: str, limits: LimitSettings) -> bytes:
    return within(field, text.encode(), limits.value_bytes_max, "limits.value_bytes_max")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _call(
    command: bytes,
    args: Callable[[Any, LimitSettings], list[bytes]],
    response: Callable[[], Any],
    tell: Callable[[Any, Any], None],
) -> ObjectCall:
    return ObjectCall(COMMANDS[command], args, response, tell)


OBJECT_CALLS: Mapping[str, ObjectCall] = {
    "increment_counter": _call(b"DELTAIC.COUNTER.ADD", _count_args, pb.IncrementCounterResponse, _tell_value),
    "decrement_counter": _call(b"DELTAIC.COUNTER.SUBTRACT", _count_args, pb.DecrementCounterResponse, _tell_value),
    "get_counter": _call(b"DELTAIC.COUNTER.GET", _counter_args, pb.GetCounterResponse, _tell_counter),
    "add_to_set": _call(b"DELTAIC.SET.ADD", _element_args, pb.AddToSetResponse, _tell_added),
    "remove_from_set": _call(b"DELTAIC.SET.REMOVE", _element_args, pb.RemoveFromSetResponse, _tell_removed),
    "get_set": _call(b"DELTAIC.SET.GET", _set_args, pb.GetSetResponse, _tell_set),
    "set_register": _call(b"DELTAIC.REGISTER.SET", _write_args, pb.SetRegisterResponse, _tell_applied),
    "get_register": _call(b"DELTAIC.REGISTER.GET", _register_args, pb.GetRegisterResponse, _tell_register),
    "set_flag": _call(b"DELTAIC.FLAG.SET", _switch_args, pb.SetFlagResponse, _tell_enabled),
    "get_flag": _call(b"DELTAIC.ENABLED", _flag_args, pb.GetFlagResponse, _tell_enabled),
    "delete": _call(b"DEL", _delete_args, pb.DeleteResponse, _tell_deleted),
}
"""By the names that the calls have in a batch."""
