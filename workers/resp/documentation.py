"""What COMMAND DOCS says of a command, and so what `redis-cli` hints at and shows for HELP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from crdt_core.commands import Map, SetOf, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.commands import Command

__all__ = ["documentation"]

_WORDS = re.compile(r"\.\.\.|[\[\]|]|[^\s\[\]|]+")
_KEY_NAMES = frozenset({"key", "newkey", "source", "destination"})
_Argument = dict[str, Any]


def documentation(command: Command[Any]) -> Map:
    """Return the documentation of a command, subcommands included."""
    summary = f"{command.summary} Concurrent: {command.concurrent}" if command.concurrent else command.summary
    items: list[tuple[Any, Any]] = [
        (b"summary", summary.encode()),
        (b"since", command.since.encode()),
        (b"group", command.group.encode()),
        (b"complexity", command.complexity.encode()),
    ]
    if command.members:
        return Map([*items, (b"subcommands", Map([(m.name.lower(), documentation(m)) for m in command.members]))])
    arguments = _sequence(iter(_WORDS.findall(command.arguments)))
    return Map([*items, (b"arguments", [_encoded(argument) for argument in arguments])] if arguments else items)


def _sequence(words: Iterator[str]) -> list[_Argument]:
    """Return the arguments up to the end, or to the bracket that closes them."""
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
    repeats = [choices[-1].pop()] if choices[-1] and choices[-1][-1]["type"] == "ellipsis" else []
    return [{"name": "choice", "type": "oneof", "arguments": [_one(choice) for choice in choices]}, *repeats]


def _add_optional(before: list[_Argument], inner: list[_Argument]) -> None:
    """Add what stands in brackets; where it repeats what stands before them, that may be given more than once."""
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
