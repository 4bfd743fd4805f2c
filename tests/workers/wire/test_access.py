"""The Redis users: who may do what with which key."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from hashlib import sha256

import pytest

from workers.wire import keys
from workers.wire.access import CHANNEL, LAYOUT, Role, acl_file, set_user_commands, user_name
from workers.wire.keys import AUDIT, FLEET, REFUSED_JOBS, Keys, queue_name

PASSWORDS = {role: f"of {role}" for role in Role}
READING = {"hget", "hmget", "hgetall", "get", "exists", "xread", "xrange", "xlen", "smembers"}


def documented() -> list[str]:
    """The keys in the table of `workers.wire.keys`, with stars for what varies."""
    rows = re.findall(r"^ {4}((?:deltaic|rq):\S+)", keys.__doc__ or "", re.MULTILINE)
    varied = (re.sub(r"\{n\d\}", "{<node>}", re.sub(r"<[^>]+>", "*", row)) for row in rows)
    return [re.sub(r":log([.-]).*", r":log\1*", row) for row in varied]


def rules(role: Role, *nodes: str) -> str:
    (found,) = [
        line for line in set_user_commands(nodes or ("n1",)) if line.startswith(f"ACL SETUSER {user_name(role)} ")
    ]
    return found


def test_every_key_that_is_documented_has_its_rights_and_no_other_has() -> None:
    layout = [*(access.pattern for access in LAYOUT), CHANNEL]
    for key in documented():
        assert any(fnmatchcase(key.replace("[", "[[]"), pattern) for pattern in layout), key
    for pattern in layout:
        assert any(fnmatchcase(key, pattern) or fnmatchcase(pattern, key) for key in documented()), pattern
    names = Keys("n1", "n1.2")
    used = [
        names.header,
        names.state,
        names.log,
        names.alive,
        names.met,
        names.inbox,
        names.links,
        names.quarantine,
        names.staged,
        names.probe,
        names.published,
    ]
    used += [names.answer("x"), names.lock("x"), names.members.decode(), FLEET, AUDIT, REFUSED_JOBS]
    used += ["rq:queue:" + queue_name("n1")]
    for key in used:
        assert any(fnmatchcase(key, pattern.replace("<node>", "n1")) for pattern in layout), key


def test_a_peer_writes_nothing_but_messages_and_notes_of_additions() -> None:
    written = {
        (access.pattern, right, names) for access in LAYOUT for right, names in access.peer.items() if "W" in right
    }
    assert written == {("deltaic:{<node>}:inbox", "%W", "xadd"), ("deltaic:{<node>}:added", "%W", "sadd")}
    for access in LAYOUT:
        assert set(" ".join(access.peer.get(right, "") for right in ("%R", "%RW")).split()) <= READING


@pytest.mark.parametrize("role", Role)
def test_no_role_has_what_concerns_the_server(role: Role) -> None:
    words = rules(role).split()
    assert {"on", "-@all", "resetkeys", "resetchannels", "clearselectors"} <= set(words)
    assert not {"+@all", "allcommands", "~*", "allkeys", "nopass", "&*", "+@dangerous", "+@admin", "+@scripting"} & set(
        words
    )
    for kind in ("+@read", "+@write", "+@connection"):
        if kind in words:
            assert words.index(kind) < words.index("-@dangerous")


def test_the_users_of_nodes_that_share_a_redis_have_the_keys_of_all() -> None:
    assert "~deltaic:{n1}:* " in rules(Role.OWNER, "n1", "n2")
    assert "~deltaic:{n2}:* " in rules(Role.OWNER, "n1", "n2")
    assert "n2" not in rules(Role.OWNER, "n1")
    assert rules(Role.PEER, "n1", "n2").count("~deltaic:fleet ") == 1


def test_a_machine_has_the_keys_of_each_name_that_it_may_have() -> None:
    """It goes on under the name of its addition if another machine keeps its name, and may look back from there."""
    for role in (Role.OWNER, Role.PEER, Role.JOBS):
        assert "~deltaic:{n6-??????} " in rules(role, "n6")
    assert "~deltaic:{n6}:* " in rules(Role.OWNER, "n6-4f2a91")
    assert "{n6}" not in rules(Role.PEER, "n6-4f2a91") + rules(Role.OWNER, "n6-west")


def test_an_acl_file_has_hashes_and_closes_the_default_user() -> None:
    first, *users = acl_file(["n1"], PASSWORDS)
    assert first.split()[:3] == ["user", "default", "on"]
    assert [word for word in first.split() if word.startswith(("+", "~", "&"))] == ["+ping"]
    assert [line.split()[1] for line in users] == ["deltaic-owner", "deltaic-peer", "deltaic-jobs", "deltaic-inspector"]
    for role, line in zip(Role, users, strict=True):
        assert line.split()[2] == "#" + sha256(PASSWORDS[role].encode()).hexdigest()
        assert PASSWORDS[role] not in line


def test_new_rights_leave_the_passwords_as_they_are() -> None:
    for line in set_user_commands(["n1"]):
        assert not {"reset", "resetpass", "nopass"} & set(line.split())
        assert not re.search(r" [><#!]", line)
