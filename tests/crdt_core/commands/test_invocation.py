"""One command as an operation: its reply, or the error itself."""

from __future__ import annotations

import pytest

from crdt_core.commands import COMMANDS, CommandOptions, Invocation
from crdt_core.errors import TooLarge, WrongType
from tests.crdt_core.sites import START_MS, Site


def invoke(site: Site, name: bytes, *args: bytes, seed: int = 0, value_bytes_max: int = 1000) -> object:
    options = CommandOptions(value_bytes_max=value_bytes_max)
    return site.run(Invocation(COMMANDS[name], list(args), site.wall_ms, seed, options))


def test_it_yields_the_reply_and_its_writes_are_the_commit(site: Site) -> None:
    assert invoke(site, b"SADD", b"s", b"a", b"b") == 2
    assert site("SMEMBERS s") == {"a", "b"}
    assert len(site.log) == 1


def test_it_raises_what_refuses_the_command_and_has_changed_nothing(site: Site) -> None:
    site("SET k v")
    made = len(site.log)
    with pytest.raises(WrongType):
        invoke(site, b"DELTAIC.SET.ADD", b"k", b"x")
    with pytest.raises(TooLarge, match=r"limits\.value_bytes_max"):
        invoke(site, b"APPEND", b"k", b"x" * 10, value_bytes_max=5)
    assert len(site.log) == made


def test_it_runs_at_its_own_time_of_day(site: Site) -> None:
    site("SET k v PX 100")
    assert invoke(site, b"EXISTS", b"k") == 1
    site.wall_ms = START_MS + 100
    assert invoke(site, b"EXISTS", b"k") == 0


def test_choices_are_those_of_its_seed(site: Site) -> None:
    site("SADD s a b c d e f g h")
    chosen = {seed: invoke(site, b"SRANDMEMBER", b"s", b"4", seed=seed) for seed in range(20)}
    assert chosen[7] == invoke(site, b"SRANDMEMBER", b"s", b"4", seed=7)
    assert len({str(reply) for reply in chosen.values()}) > 1
